/**
 * CONTRACT HostNetwork: what the stack's sockets reach.
 *
 * libslirp is written for BSD sockets. Whoever implements this contract gives it those sockets on something else: Node's
 * `net` and `dgram`, or a WebSocket relay. It is written for that person; `test/host-network-contract` checks it.
 *
 * Rules that hold for every call:
 * - Nothing blocks and nothing on a socket throws. A call answers a number: a count of bytes, or an {@link Errno} made
 *   negative (`-Errno.EAGAIN`).
 * - Readiness is edge-triggered. After a call answered `-EAGAIN`, `onReady` is owed once when the call would succeed (or
 *   fail for good). A count smaller than what was asked for says the same as `-EAGAIN`: the next edge is owed. Before the
 *   first such answer it is owed when the condition first becomes true. More calls than owed are allowed; the stack tries
 *   and is told EAGAIN.
 * - An error that ends a socket is owed always: `error`, with `readable` and `writable`, since no call will wait any more.
 * - `onReady` may be called at any time except from within a call that the stack makes on the same host network: the
 *   stack would be re-entered. Put it off to a microtask or later.
 * - Bytes that the stack hands over are views on linear memory: they are valid only until the call returns. Copy what must
 *   last. Bytes that the stack wants are written into the view that it gives.
 * - After `close()` or `reset()` on a socket, `onReady` is not called for it again.
 * - Memory outside the module is bounded: at most {@link MAX_BUFFERED_BYTES} a stream, both directions together.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "./address.js";

/** Upper bound for what a host network holds for one stream, received and to be sent together: 512 KiB. */
export const MAX_BUFFERED_BYTES = 512 * 1024;

/**
 * Error numbers, as WASI preview 1 and so emscripten's C library number them
 * (https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md#errno), so that they reach C unchanged.
 */
export const Errno = {
  EACCES: 2,
  EADDRINUSE: 3,
  EADDRNOTAVAIL: 4,
  EAFNOSUPPORT: 5,
  EAGAIN: 6,
  EBADF: 8,
  ECONNABORTED: 13,
  ECONNREFUSED: 14,
  ECONNRESET: 15,
  EHOSTUNREACH: 23,
  EINPROGRESS: 26,
  EINVAL: 28,
  EIO: 29,
  EMFILE: 33,
  EMSGSIZE: 35,
  ENETDOWN: 38,
  ENETUNREACH: 40,
  ENFILE: 41,
  ENOBUFS: 42,
  ENOENT: 44,
  ENOMEM: 48,
  ENOPROTOOPT: 50,
  ENOSYS: 52,
  ENOTCONN: 53,
  ENOTSUP: 58,
  EPERM: 63,
  EPIPE: 64,
  ETIMEDOUT: 73,
} as const;

/** One of the names of {@link Errno}. */
export type ErrnoName = keyof typeof Errno;

/** What a socket has become ready for; the bits of libslirp's `SLIRP_POLL_*` (libslirp.h). */
export const Readiness = { readable: 1, writable: 2, error: 8, hangup: 16 } as const;

/** Called with an OR of {@link Readiness} bits. A listener is readable when a connection can be accepted. */
export type ReadyListener = (events: number) => void;

/** What all host sockets have in common. */
export interface HostSocket {
  /** Where the socket is bound; undefined as long as that is not known. */
  readonly localEndpoint: HostEndpoint | undefined;
  /**
   * Who is told of readiness. The stack sets it before it returns to the event loop; what became true before is told then
   * (by the rule above: not from within the assignment).
   */
  onReady: ReadyListener | undefined;
  /** The pending error (as getsockopt SO_ERROR): an {@link Errno}, positive, or 0. Reading clears it. */
  takeError(): number;
  /**
   * Ends the socket in good order and frees it. What was accepted for sending is still sent. Where a stream's received data
   * was left unread, and nothing waits to be sent, the other side may be told by RST, as BSD's close does. Safe to call
   * twice.
   */
  close(): void;
}

/** A connected, or connecting, byte stream: TCP or unix. */
export interface HostStream extends HostSocket {
  /** The other end; undefined while connecting or after a failure to connect. */
  readonly remoteEndpoint: HostEndpoint | undefined;
  /**
   * Sends bytes, up to two pieces that belong behind each other (a ring's two halves): one write, not two. Answers how
   * many bytes were taken, counted over both: fewer than given when the buffer is full, `-EAGAIN` when none were,
   * `-EPIPE` after `shutdownWrite`, `-ENOTCONN` while connecting, and of a stream that has failed (or could not connect)
   * the reason, at each call. No bytes: 0 where bytes could be sent, else the same errors.
   */
  send(first: Uint8Array, second?: Uint8Array): number;
  /**
   * Fills `target` as far as there is data: bytes written, 0 at the end of the stream (again and again), `-EAGAIN`, or the
   * error, at each call. What was received before FIN or before an error comes first.
   */
  receive(target: Uint8Array): number;
  /** Sends FIN behind what was taken so far. Receiving goes on. */
  shutdownWrite(): void;
  /** Ends the stream at once and without order: the other side sees RST, untransmitted data is lost. Safe to call twice. */
  reset(): void;
}

/** A socket that accepts streams. */
export interface HostListener extends HostSocket {
  readonly localEndpoint: HostEndpoint;
  /** The next connection, or undefined where there is none (EAGAIN). */
  accept(): HostStream | undefined;
}

/** Where `receiveFrom` writes the sender: one object used again and again, so that no datagram allocates one. */
export interface DatagramSource {
  /** Who sent the datagram that was just received. */
  endpoint: IpEndpoint | undefined;
}

/** A UDP socket, not connected; or an ICMP echo socket, whose datagrams are ICMP messages from the type byte on. */
export interface HostDatagram extends HostSocket {
  /** Datagrams that came and found no room, since the socket was opened; undefined where nobody counts them. */
  readonly droppedDatagrams?: number | undefined;
  /** Sends one datagram: its length, `-EAGAIN`, `-EMSGSIZE`, or the error. */
  sendTo(bytes: Uint8Array, remote: IpEndpoint): number;
  /** Length of the next datagram, or `-EAGAIN`. An error that was reported for the socket comes first, as `-errno`. */
  nextLength(): number;
  /** Takes the next datagram; what does not fit into `target` is cut off. Its length, `-EAGAIN`, or the error. */
  receiveFrom(target: Uint8Array, source: DatagramSource): number;
}

/** A file that is open for reading (TFTP). Reading is synchronous: the files are small and local. */
export interface HostFile {
  /** As it was when it was opened. */
  readonly sizeBytes: number;
  /** Fills `target` from `position` (bytes): how many were read, 0 at the end, or the error. */
  read(target: Uint8Array, position: number): number;
  /** Gives it back; nothing is called after it. */
  close(): void;
}

/** A timer that was set with {@link HostNetwork.setTimer}. */
export interface HostTimer {
  /** Its callback does not come any more. Safe to call again, and after it has come. */
  cancel(): void;
}

/** How a stream is to be opened. */
export interface StreamOptions {
  /** Address to connect from (libslirp's `outbound_addr`); port 0. Default: the system chooses. */
  readonly local?: IpEndpoint;
}

/** What the stack's sockets reach, and the clock and event loop that it lives on. */
export interface HostNetwork {
  /** For messages: "node", "wisp", … */
  readonly name: string;

  /**
   * Starts to connect. Answers the stream at once; it becomes `writable` when connected, or `error` with the reason in
   * `takeError`. Where the system refuses on the spot (no socket to be had: EMFILE, ENOBUFS; no such address): a negative
   * errno, or, where that is known only later, `error` as well.
   */
  connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number;

  /**
   * Binds and listens. Rejects with an Error whose `code` is the name of the errno (`EADDRINUSE`, `EACCES`, …). Port 0
   * asks for a free one: see `localEndpoint`. `ipv6Only`: an IPv6 wildcard does not take IPv4 connections too.
   */
  listenStream(local: HostEndpoint, options?: { ipv6Only?: boolean }): Promise<HostListener>;

  /** Opens a UDP socket on any free port. A negative errno where it cannot. */
  openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number;

  /** Binds a UDP socket to an address. Rejects as {@link listenStream} does. */
  bindDatagram(local: IpEndpoint, options?: { ipv6Only?: boolean }): Promise<HostDatagram>;

  /** Opens a socket for ICMP echo; a negative errno (`-EPERM`, `-ENOTSUP`) where that is not to be had. */
  openEcho(family: IpFamily): HostDatagram | number;

  /** Opens a file for reading, or a negative errno. Only where the host network has files. */
  openFile?(path: string): HostFile | number;

  /**
   * Runs a command line in the system's shell, the stream being its standard input and output; its standard error goes where
   * the process's own does. Closing the stream ends the command. A negative errno where it cannot be started. Only where the
   * host network has processes.
   */
  openCommand?(commandLine: string): HostStream | number;

  /**
   * The resolvers to ask, best first, as the system has them now (changes are noticed within a second or two). The
   * stack sends what the guest sends to its virtual name server there, whichever IP version the guest used. May be empty.
   */
  dnsServers(): readonly IpEndpoint[];

  /** Monotonic clock: milliseconds, with fractions. */
  nowMs(): number;

  /** Wall clock: milliseconds since 1970 (TFTP, NTP, logs). */
  dateMs(): number;

  /**
   * Calls back once, soon: after the events that are pending in this iteration of the event loop, so that one turn of
   * the stack serves them all.
   */
  scheduleTurn(callback: () => void): void;

  /**
   * Called at the end of each turn, before frames are handed to the guest: the time to send what somebody waits for, where sending is
   * put off to gather. Must not call back into the stack.
   */
  endTurn?(): void;

  /**
   * Calls back once after `delayMs`. The timer holds the process if and only if the network is `ref`ed and `keepAlive` is true
   * (the default): router advertisements are no reason to stay.
   */
  setTimer(callback: () => void, delayMs: number, keepAlive?: boolean): HostTimer;

  /** From now on sockets and timers keep the process alive (the default). In a browser it does nothing. */
  ref(): void;
  /** From now on they do not. */
  unref(): void;

  /** Closes every socket and cancels every timer. No callback comes once the promise is fulfilled. Safe to call twice. */
  close(): Promise<void>;
}
