/**
 * A UDP socket over several host networks: one socket in each that something was sent through, opened when it is. What they receive comes
 * out as of one.
 */
import type { HostEndpoint, IpEndpoint } from "../address.js";
import {
  Errno,
  Readiness,
  type DatagramSource,
  type HostDatagram,
  type HostNetwork,
} from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";

/** How it finds its way. */
export interface DatagramRoutes {
  /** The network for a destination; undefined: it is refused. */
  networkFor(remote: IpEndpoint): HostNetwork | undefined;
  /** Opens a socket of the right IP version, or answers a negative errno. */
  open(network: HostNetwork): HostDatagram | number;
}

/** See the top of the file. */
export class RoutedDatagram extends ReadinessSource implements HostDatagram {
  readonly #routes: DatagramRoutes;
  readonly #sockets = new Map<HostNetwork, HostDatagram>();
  /** Who has the next datagram: the one that `nextLength` has spoken of. */
  #next: HostDatagram | undefined;
  #closed = false;

  constructor(routes: DatagramRoutes) {
    super();
    this.#routes = routes;
    this.raise(Readiness.writable);
  }

  /** Known where there is but one. */
  get localEndpoint(): HostEndpoint | undefined {
    const [only, ...others] = this.#sockets.values();
    return others.length === 0 ? only?.localEndpoint : undefined;
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (this.#closed) return -Errno.EBADF;
    const network = this.#routes.networkFor(remote);
    if (!network) return -Errno.ENETUNREACH;
    const socket = this.#sockets.get(network) ?? this.#open(network);
    if (typeof socket === "number") return socket;
    const sent = socket.sendTo(bytes, remote);
    if (sent === -Errno.EAGAIN) this.owe(Readiness.writable);
    return sent;
  }

  nextLength(): number {
    if (this.#closed) return -Errno.EBADF;
    for (const socket of this.#sockets.values()) {
      const length = socket.nextLength();
      if (length === -Errno.EAGAIN) continue;
      // An error has been told by this; a datagram stays.
      this.#next = length >= 0 ? socket : undefined;
      return length;
    }
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    if (this.#closed) return -Errno.EBADF;
    const first = this.#next;
    this.#next = undefined;
    if (first) return first.receiveFrom(target, source);
    for (const socket of this.#sockets.values()) {
      const count = socket.receiveFrom(target, source);
      if (count !== -Errno.EAGAIN) return count;
    }
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  override takeError(): number {
    for (const socket of this.#sockets.values()) {
      const error = socket.takeError();
      if (error !== 0) return error;
    }
    return 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #open(network: HostNetwork): HostDatagram | number {
    const socket = this.#routes.open(network);
    if (typeof socket === "number") return socket;
    socket.onReady = (events) => {
      this.raise(events);
    };
    this.#sockets.set(network, socket);
    return socket;
  }
}
