/**
 * The native addon behind the host network's own sockets (native/sockets.c) as TypeScript sees it, and the kernel's numbers
 * (sys/epoll.h).
 */
import { loadAddon } from "../addons/load-addon.js";

/** What has happened to a socket; several at once. */
export const SocketEvent = {
  readable: 0x01,
  /** Urgent data: a read stops before it, though more is there. */
  urgent: 0x02,
  writable: 0x04,
  error: 0x08,
  /** Both directions are at their end. */
  hangup: 0x10,
  /** FIN came. */
  readEnd: 0x2000,
} as const;

/** Events of a batch, at most: each is two numbers in the array, the socket's id and {@link SocketEvent} bits. */
export const MAX_BATCH_EVENTS = 256;

/** The longest busy polling, microseconds; see native/busy-poll.h. */
export const MAX_BUSY_POLL_US = 1000;

/** Bytes of an array for an address; see native/socket-address.h. */
export const ADDRESS_BYTES = 24;

/** What an id's lower bits are: the same number for no two open sockets, and small. */
export const SLOT_MASK = 0xf_ffff;

/**
 * The calls of one poller; see native/socket-calls.c. Those that open something answer an id (positive); all answer a negative errno where
 * they fail, and `-EBADF` for an id that is closed. They throw for arguments of the wrong kind only.
 */
export interface SocketCalls {
  connect(remote: Uint8Array, local: Uint8Array | undefined): number;
  connectUnix(path: string): number;
  listen(local: Uint8Array, ipv6Only: boolean): number;
  listenUnix(path: string): number;
  /** Writes where the connection comes from to `source`. */
  accept(id: number, source: Uint8Array): number;
  send(id: number, first: Uint8Array, second: Uint8Array | undefined): number;
  /** Fewer bytes than the target has: nothing more is there (but see {@link SocketEvent}.urgent). */
  receive(id: number, target: Uint8Array): number;
  shutdownWrite(id: number): number;
  /**
   * Closes in good order: 0. Else it is open still, for so many bytes that the other side has not acknowledged and that would be lost.
   * `all`: closes only when there are none at all.
   */
  finish(id: number, all: boolean): number;
  close(id: number): number;
  /** Closes by RST. */
  reset(id: number): number;
  /** 0: no error is pending. */
  takeError(id: number): number;
  localAddress(id: number, address: Uint8Array): number;
  openDatagram(local: Uint8Array, ipv6Only: boolean): number;
  openEcho(family: number): number;
  sendTo(id: number, bytes: Uint8Array, remote: Uint8Array): number;
  nextLength(id: number): number;
  receiveFrom(id: number, target: Uint8Array, source: Uint8Array): number;
  /** Datagrams that found no room. */
  dropped(id: number): number;
  /** Whether the poller holds the process; not to begin with. */
  setReferenced(on: boolean): void;
  /** Closes all sockets, and the poller. */
  end(): void;
}

/** See native/sockets.c. */
export interface SocketAddon {
  /**
   * `onEvents(count)` is called from the event loop. Throws an Error with the system's `code` where no descriptor is left. `busyPollUs`:
   * how long the event loop polls busily, microseconds, 0 to {@link MAX_BUSY_POLL_US}.
   */
  createPoller(
    events: Int32Array,
    onEvents: (count: number) => void,
    busyPollUs: number,
  ): SocketCalls;
  /** 0: there is no such interface. */
  interfaceIndex(name: string): number;
  /** "": there is no such interface. */
  interfaceName(index: number): string;
}

/** Loads the addon. @throws SlirpError `addonUnavailable` */
export function loadSocketAddon(): SocketAddon {
  return loadAddon("sockets") as SocketAddon;
}
