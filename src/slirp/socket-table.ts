/**
 * The host's sockets by descriptor: what stands behind the small integers that libslirp calls sockets.
 *
 * Readiness goes the other way without a call: a socket that has become ready sets bits in linear memory and puts its descriptor
 * into the queue there (wasm/descriptors.h), and asks for a turn.
 */
import { formatEndpoint, type HostEndpoint } from "../address.js";
import type { HostFile, HostListener, HostNetwork, HostStream } from "../host-network.js";
import type { SocketDescription } from "../slirp-backend.js";
import { SharedField, type ModuleInstance } from "./module-instance.js";
import type { ResolvingDatagram } from "./resolving-datagram.js";

/** READY_QUEUED of wasm/descriptors.h: the descriptor stands in the queue. */
const READY_QUEUED = 0x80;

/** A forward's socket, bound and waiting for libslirp to take it over. */
export type BoundSocket =
  | {
      readonly kind: "listener";
      readonly socket: HostListener;
      readonly local: HostEndpoint;
      readonly guestFamily: 4 | 6;
    }
  | {
      readonly kind: "datagram";
      readonly socket: ResolvingDatagram;
      readonly local: HostEndpoint;
      readonly guestFamily: 4 | 6;
    };

/** What a descriptor can stand for. */
export type Socket =
  | { readonly kind: "stream"; readonly socket: HostStream }
  | { readonly kind: "file"; readonly socket: HostFile }
  | BoundSocket
  | {
      readonly kind: "datagram";
      readonly socket: ResolvingDatagram;
      readonly local?: undefined;
      readonly guestFamily?: undefined;
    };

/** See the top of the file. */
export class SocketTable {
  /** The bound socket that the next bind() of libslirp takes, and the descriptor that took it. */
  offered: BoundSocket | undefined;
  adoptedDescriptor = -1;

  private readonly sockets: (Socket | undefined)[] = [];
  private closed = false;

  constructor(
    readonly network: HostNetwork,
    private readonly instance: ModuleInstance,
    private readonly requestTurn: () => void,
  ) {}

  get(descriptor: number): Socket | undefined {
    return this.sockets[descriptor];
  }

  stream(descriptor: number): HostStream | undefined {
    const entry = this.sockets[descriptor];
    return entry?.kind === "stream" ? entry.socket : undefined;
  }

  datagram(descriptor: number): ResolvingDatagram | undefined {
    const entry = this.sockets[descriptor];
    return entry?.kind === "datagram" ? entry.socket : undefined;
  }

  /** Puts a socket behind a descriptor and listens to it. */
  put(descriptor: number, entry: Socket): void {
    this.sockets[descriptor] = entry;
    if (entry.kind === "file") return;
    entry.socket.onReady = (events) => {
      this.setReady(descriptor, events);
    };
  }

  /** Takes the entry out; nothing is heard of it any more. */
  take(descriptor: number): Socket | undefined {
    const entry = this.sockets[descriptor];
    this.sockets[descriptor] = undefined;
    if (entry && entry.kind !== "file") entry.socket.onReady = undefined;
    return entry;
  }

  /** Closes everything: streams by reset, for their guest is gone. */
  closeAll(): void {
    this.closed = true;
    for (let descriptor = 0; descriptor < this.sockets.length; descriptor++) {
      const entry = this.take(descriptor);
      if (entry?.kind === "stream") entry.socket.reset();
      else entry?.socket.close();
    }
    this.offered?.socket.close();
    this.offered = undefined;
  }

  /** What is open, for people to look at. */
  list(): SocketDescription[] {
    const text = (endpoint: HostEndpoint | undefined) => endpoint && formatEndpoint(endpoint);
    return this.sockets.flatMap((entry, descriptor) => {
      if (!entry || entry.kind === "file") return [];
      const remote = entry.kind === "stream" ? text(entry.socket.remoteEndpoint) : undefined;
      const dropped = entry.kind === "datagram" ? entry.socket.droppedDatagrams : undefined;
      const local = text(entry.socket.localEndpoint);
      const counted = dropped === undefined ? {} : { droppedDatagrams: dropped };
      return [{ descriptor, kind: entry.kind, local, remote, ...counted }];
    });
  }

  private setReady(descriptor: number, events: number): void {
    if (this.closed) return;
    const { instance } = this;
    const at = instance.get(SharedField.ready) + descriptor;
    const before = instance.HEAPU8[at] ?? 0;
    instance.HEAPU8[at] = before | events | READY_QUEUED;
    if ((before & READY_QUEUED) === 0) {
      const count = instance.get(SharedField.readyCount);
      instance.HEAPU32[(instance.get(SharedField.readyQueue) >>> 2) + count] = descriptor;
      instance.set(SharedField.readyCount, count + 1);
    }
    this.requestTurn();
  }
}
