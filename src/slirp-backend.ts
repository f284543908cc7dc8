/**
 * CONTRACT SlirpBackend: what a slirp backend offers beyond NetBackend, wherever its stack runs.
 *
 * A stack in the same thread (`Slirp`) answers at once, one in a worker by a promise. What asks the stack therefore answers
 * `MaybePromise`: who awaits it is served by both, and the compiler refuses to take an answer for one that is there already.
 * What goes on frame by frame or second by second (NetBackend, `statistics`, `options`) is synchronous with both. An error
 * that one throws, the other rejects with: within `try { await … }` they are the same.
 */
import type { IpAddress } from "./address.js";
import type { NetBackend } from "./backend.js";
import type { GuestForward, HostForward, ResolvedSlirpOptions } from "./slirp-options.js";

/** An answer that is there, or comes. To be awaited. */
export type MaybePromise<Value> = Value | Promise<Value>;

/** How grave a message of the stack is. */
export type LogLevel = "debug" | "warning" | "critical" | "fatal";

/** A host socket that a stack has open. */
export interface SocketDescription {
  /** Its number in the stack. */
  readonly descriptor: number;
  /** What it is to the stack. */
  readonly kind: "stream" | "datagram" | "listener" | "file";
  /** Its own end, `address:port` or a path, where it is known. */
  readonly local: string | undefined;
  /** The other end, where there is one. */
  readonly remote: string | undefined;
  /** Of `datagram`: what came from the host and found no room in the socket's queue. Left out where nobody counts it. */
  readonly droppedDatagrams?: number;
}

/**
 * State of a TCP connection towards the guest, as RFC 9293 (3.3.2) names it. `connecting`: the host is being connected to, and the guest
 * has had no answer yet.
 */
export type TcpState =
  | "connecting"
  | "CLOSED"
  | "LISTEN"
  | "SYN-SENT"
  | "SYN-RECEIVED"
  | "ESTABLISHED"
  | "CLOSE-WAIT"
  | "FIN-WAIT-1"
  | "CLOSING"
  | "LAST-ACK"
  | "FIN-WAIT-2"
  | "TIME-WAIT";

/** What a stack has between its guest and a host: a TCP connection, or those who exchange datagrams. */
export interface ConnectionDescription {
  /** Of ICMP: an echo request and its answers. */
  readonly protocol: "tcp" | "udp" | "icmp";
  /** Only of TCP. */
  readonly state: TcpState | undefined;
  /** Who began it: `host` through a forward, or `connect`. */
  readonly openedBy: "guest" | "host";
  /** Address and port in the guest, as `10.0.2.15:41010` or `[fec0::15]:41010`; for ICMP the port is 0. */
  readonly guest: string;
  /** Address and port of the other side, as the guest sees it. */
  readonly remote: string;
  /** Bytes of content that came from the guest, ever: of TCP those that were in order. */
  readonly bytesFromGuest: number;
  /** Bytes of content that went to the guest, ever: of TCP those that it acknowledged. */
  readonly bytesToGuest: number;
  /** Bytes from the guest that the host has not taken yet. */
  readonly queuedFromGuest: number;
  /** Bytes for the guest that it has not acknowledged yet. */
  readonly queuedToGuest: number;
}

/** How a guest channel is opened. */
export interface GuestChannelOptions {
  /** An IPv4 address of the guest's network, neither gateway nor name server. */
  readonly address: IpAddress;
  /** 1 to 65535. */
  readonly port: number;
  /** What the guest sends, in order; the bytes are the callback's own. Called from a microtask. */
  onData(bytes: Uint8Array): void;
  /** After `send` took less than it was given: there is room again. */
  onWritable?(): void;
}

/** An address and port of the guest's network whose bytes go to JavaScript; see src/slirp/guest-channels.ts. */
export interface GuestChannel {
  /** The guest's address for it. */
  readonly address: IpAddress;
  /** The guest's port for it. */
  readonly port: number;
  /**
   * Sends bytes to the guest: how many were taken, from the front. Less than given: the rest is to be sent again when `onWritable` is
   * called. As long as no guest is connected nothing is taken; by a stack in a worker up to 64 KiB, which wait there.
   * @throws SlirpError `closed`, `stackFailed`.
   */
  send(bytes: Uint8Array): number;
}

/** Where to connect to. */
export interface GuestConnectOptions {
  /** 1 to 65535. */
  readonly port: number;
  /** The guest's address. Default: the first that DHCP gives out; without IPv4 the address of the guest seen first. */
  readonly address?: string | IpAddress;
  /** Gives up connecting, and later cuts the connection off; with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a writer may write. */
export type SocketBytes = ArrayBuffer | ArrayBufferView;

/** A connection to the guest that was made; see src/slirp/guest-socket.ts. The streams can be transferred to another thread. */
export interface GuestSocket {
  /**
   * What the guest sends; it ends where the guest sends FIN. What came before an error can be read, then reading fails with the error.
   * Cancelling it throws away what still comes.
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** What the guest gets: ArrayBuffers and views. Closing it sends FIN, aborting it RST. */
  readonly writable: WritableStream<SocketBytes>;
  /** Who is connected, as the guest sees it: `10.0.2.15:80` from `10.0.2.2:16385`. */
  readonly opened: Promise<GuestSocketInfo>;
  /**
   * Fulfilled when both directions have ended in good order, or `close` has sent what was written. Rejected with SlirpError
   * `connectionReset` where the guest cut it off, `closed` or `stackFailed` where the stack ended, or with the reason it was aborted for.
   */
  readonly closed: Promise<undefined>;
  /** Sends what was written and FIN, and stops reading. Where `writable` is locked, what it has not handed over yet is lost. */
  close(): Promise<undefined>;
}

/** The two ends of a connection: `address:port`, IPv6 in brackets. */
export interface GuestSocketInfo {
  /** The guest. */
  readonly remoteAddress: string;
  /** Who the guest sees: the gateway, and a port of its. */
  readonly localAddress: string;
}

/** A stack as a backend, in this thread or in a worker. Every call throws or rejects with SlirpError `closed` after `close`, and what the stack failed with. */
export interface SlirpBackend extends NetBackend {
  /** The options in force. */
  readonly options: ResolvedSlirpOptions;
  /** libslirp's version. */
  readonly libslirpVersion: string;
  /** Linear memory of the stack, bytes: what it has ever needed, for it does not shrink. A worker's is that of its last message. */
  readonly memoryBytes: number;

  /** Opens a host port towards the guest. Answers the forward with the port it got, where 0 was asked for. */
  addForward(forward: HostForward | string): Promise<HostForward>;
  /** Closes a host port; its connections stay. @throws SlirpError `noSuchForward`. */
  removeForward(forward: HostForward | string): MaybePromise<void>;
  /** The host forwards in force. */
  forwards(): MaybePromise<HostForward[]>;
  /** Gives an address of the guest's network to something on the host. */
  addGuestForward(forward: GuestForward): MaybePromise<void>;
  /** The guest forwards in force. */
  guestForwards(): MaybePromise<GuestForward[]>;

  /** Gives an address of the guest's network to JavaScript. @throws SlirpError `forwardFailed`. */
  openGuestChannel(options: GuestChannelOptions): MaybePromise<GuestChannel>;
  /** Connects to a TCP port of the guest. Fulfilled when the guest has answered. */
  connect(options: GuestConnectOptions): Promise<GuestSocket>;

  /** Asks a web server in the guest, as `fetch` does: `http://guest/`, `http://guest:8080/`. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

  /** The stack's state, for a stack made later with the same options and guest channels. */
  saveState(): MaybePromise<Uint8Array<ArrayBuffer>>;
  /** Loads what `saveState` gave, into a stack that no guest has used yet. @throws SlirpError `invalidConfiguration`. */
  loadState(saved: Uint8Array): MaybePromise<void>;

  /** libslirp's table of connections, as QEMU's `info usernet` prints it (IPv4 only). */
  connectionInfo(): MaybePromise<string>;
  /** libslirp's ARP and NDP tables as text. */
  neighborInfo(): MaybePromise<string>;
  /** Connections between guest and host, IPv4 and IPv6, with state and bytes; a TCP connection until it has left TIME-WAIT. */
  connections(): MaybePromise<ConnectionDescription[]>;
  /** The host sockets that the stack has open. */
  sockets(): MaybePromise<SocketDescription[]>;

  /** In Node: sockets and timers keep the process alive (the default). */
  ref(): void;
  /** They do not. */
  unref(): void;
}
