/**
 * A UDP port of a relay as a socket. Each datagram names its peer; while the relay is lost, what is sent is lost too, as on a link that is
 * down.
 */
import type { IpEndpoint } from "../address.js";
import { Errno, Readiness } from "../host-network.js";
import { decodePeerDatagram, encodePeerDatagram } from "../wisp-listen.js";
import { encodeData, WispKind } from "../wisp.js";
import { MAX_DATAGRAM_BYTES, WispDatagram } from "./wisp-datagram.js";
import { WispPort, type WispPortOwner } from "./wisp-port.js";
import type { WispStreamParts } from "./wisp-stream.js";

/** See the top of the file. */
export class WispBoundDatagram extends WispDatagram implements WispPortOwner {
  readonly #port: WispPort;
  readonly #ofFamily: IpEndpoint["family"];
  #closed = false;

  constructor(parts: WispStreamParts, local: IpEndpoint, ipv6Only: boolean) {
    super(parts, local.family);
    this.#ofFamily = local.family;
    this.#port = new WispPort(parts, this, { kind: WispKind.udp, local, ipv6Only });
  }

  /** See {@link WispPort.open}. */
  async open(): Promise<void> {
    try {
      await this.#port.open();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  override get localEndpoint(): IpEndpoint {
    return this.#port.local;
  }

  override sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (this.#closed) return -Errno.EBADF;
    if (remote.family !== this.#ofFamily) return -Errno.EAFNOSUPPORT;
    if (bytes.length > MAX_DATAGRAM_BYTES[remote.family]) return -Errno.EMSGSIZE;
    const { link } = this.#port;
    if (!link) return bytes.length;
    if (link.connection.isCongested) {
      this.owe(Readiness.writable);
      return -Errno.EAGAIN;
    }
    link.connection.send(encodeData(link.id, encodePeerDatagram(remote, bytes)));
    return bytes.length;
  }

  override close(): void {
    this.#closed = true;
    this.#port.close();
    super.close();
  }

  onIncoming(): void {
    // A UDP port has no connections.
  }

  onData(payload: Uint8Array): void {
    const datagram = decodePeerDatagram(payload);
    if (datagram) this.take(datagram.peer, datagram.payload);
  }

  onUncongested(): void {
    this.uncongested();
  }
}
