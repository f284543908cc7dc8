/**
 * A layer around a host network that answers some of the guest's datagrams, and perhaps streams, in the page.
 */
import type { IpEndpoint, IpFamily } from "../address.js";
import type { HostDatagram } from "../host-network.js";
import { AnsweringDatagram, type DatagramAnswerer } from "./answering-datagram.js";
import { HostNetworkLayer } from "./host-network-layer.js";
import type { OpenSocket } from "./page-host-network.js";

/** See the top of the file. */
export abstract class AnsweringLayer extends HostNetworkLayer {
  protected readonly open = new Set<OpenSocket>();
  readonly #closing = new AbortController();

  /** What a new UDP socket's datagrams are shown to. */
  protected abstract makeAnswerer(): DatagramAnswerer;

  /** Aborted when the network is closed. */
  protected get signal(): AbortSignal {
    return this.#closing.signal;
  }

  override openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    const inner = this.inner.openDatagram(family, options);
    if (typeof inner === "number") return inner;
    return new AnsweringDatagram(inner, this.makeAnswerer(), this.open);
  }

  override close(): Promise<void> {
    this.#closing.abort();
    for (const socket of [...this.open]) socket.abandon();
    return this.inner.close();
  }
}
