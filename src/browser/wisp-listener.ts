/** A TCP port of a relay as a listener: whoever connects to it is a stream of the relay's, which is taken over here. */
import type { IpEndpoint } from "../address.js";
import { Readiness, type HostListener } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import { encodeClose, WispKind, WispReason } from "../wisp.js";
import type { WispConnection } from "./wisp-connection.js";
import { WispPort, type WispPortOwner } from "./wisp-port.js";
import { WispStream, type WispStreamParts } from "./wisp-stream.js";

/** Connections that wait to be accepted, at most: what systems have as a backlog. */
const BACKLOG = 128;

/** See the top of the file. */
export class WispListener extends ReadinessSource implements HostListener, WispPortOwner {
  readonly #parts: WispStreamParts;
  readonly #port: WispPort;
  #waiting: WispStream[] = [];

  constructor(parts: WispStreamParts, local: IpEndpoint, ipv6Only: boolean) {
    super();
    this.#parts = parts;
    this.#port = new WispPort(parts, this, { kind: WispKind.tcp, local, ipv6Only });
  }

  /** See {@link WispPort.open}. */
  open(): Promise<void> {
    return this.#port.open();
  }

  get localEndpoint(): IpEndpoint {
    return this.#port.local;
  }

  accept(): WispStream | undefined {
    const stream = this.#waiting.shift();
    if (!stream) this.owe(Readiness.readable);
    return stream;
  }

  close(): void {
    this.silence();
    this.#port.close();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const stream of waiting) stream.reset();
  }

  onIncoming(connection: WispConnection, id: number, peer: IpEndpoint): void {
    if (this.#waiting.length >= BACKLOG) {
      connection.send(encodeClose(id, WispReason.throttled));
      return;
    }
    const stream = new WispStream(this.#parts, peer, this.#port.local);
    stream.takeOver(connection, id);
    this.#waiting.push(stream);
    this.raise(Readiness.readable);
  }

  onData(): void {
    // DATA belongs to streams.
  }

  onUncongested(): void {
    // A listener sends nothing.
  }
}
