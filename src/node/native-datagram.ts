/**
 * UDP and ICMP echo sockets of the addon.
 *
 * Datagrams wait in the kernel, which drops what is too much. `nextLength` takes one out of there already, so that fetching it is no second
 * system call (native/socket-datagrams.c). The kernel tells which destinations could not be reached; what concerns the last one becomes
 * the socket's error (contract: "an error that was reported for the socket").
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import { Errno, Readiness, type DatagramSource, type HostDatagram } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import type { NativePoller, NativeSocket } from "./native-poller.js";
import { ADDRESS_BYTES, SocketEvent } from "./socket-addon.js";

const MAX_PORT = 65_535;

export class NativeDatagram extends ReadinessSource implements HostDatagram, NativeSocket {
  readonly id: number;
  readonly localEndpoint: HostEndpoint | undefined;
  readonly #poller: NativePoller;
  readonly #family: IpFamily;
  readonly #hasPorts: boolean;
  #closed = false;
  /** Who sent the datagram before, as bytes and as endpoint: most sockets hear from one address only. */
  readonly #lastBytes = new Uint8Array(ADDRESS_BYTES);
  #lastSender: IpEndpoint | undefined;

  /** Binds a UDP socket; a negative errno where that fails. */
  static open(poller: NativePoller, local: IpEndpoint, ipv6Only: boolean): NativeDatagram | number {
    if (local.port > MAX_PORT) return -Errno.EINVAL;
    const id = poller.calls.openDatagram(poller.addresses.write(local), ipv6Only);
    return id < 0 ? id : new NativeDatagram(poller, id, local.family, true);
  }

  /** A negative errno where the system has none for us. */
  static openEcho(poller: NativePoller, family: IpFamily): NativeDatagram | number {
    const id = poller.calls.openEcho(family);
    return id < 0 ? id : new NativeDatagram(poller, id, family, false);
  }

  private constructor(poller: NativePoller, id: number, family: IpFamily, hasPorts: boolean) {
    super();
    this.id = id;
    this.#poller = poller;
    this.#family = family;
    this.#hasPorts = hasPorts;
    this.localEndpoint = poller.localEndpointOf(id);
    poller.add(this);
  }

  /** As the kernel counts them, until the socket is closed. */
  get droppedDatagrams(): number | undefined {
    const dropped = this.#poller.calls.dropped(this.id);
    return dropped < 0 ? undefined : dropped;
  }

  override takeError(): number {
    const error = this.#closed ? 0 : this.#poller.calls.takeError(this.id);
    return error < 0 ? -error : 0;
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (this.#closed) return -Errno.EBADF;
    if (remote.family !== this.#family) return -Errno.EAFNOSUPPORT;
    if (remote.port > MAX_PORT || (this.#hasPorts && remote.port === 0)) return -Errno.EINVAL;
    const { calls, addresses } = this.#poller;
    const answer = calls.sendTo(this.id, bytes, addresses.write(remote));
    if (answer === -Errno.EAGAIN) this.owe(Readiness.writable);
    return answer;
  }

  nextLength(): number {
    if (this.#closed) return -Errno.EBADF;
    return this.#noted(this.#poller.calls.nextLength(this.id));
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    if (this.#closed) return -Errno.EBADF;
    const { calls, addresses } = this.#poller;
    const length = this.#noted(calls.receiveFrom(this.id, target, addresses.source));
    if (length >= 0) source.endpoint = this.#sender();
    return length;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#poller.calls.close(this.id);
    this.#poller.remove(this.id);
  }

  abort(): void {
    this.close();
  }

  onEvents(events: number): void {
    let ready = 0;
    if (events & SocketEvent.readable) ready |= Readiness.readable;
    if (events & SocketEvent.writable) ready |= Readiness.writable;
    if (events & SocketEvent.error) {
      // The stack hears of it by reading.
      this.owe(Readiness.readable);
      ready |= Readiness.error | Readiness.readable;
    }
    this.raise(ready);
  }

  #noted(answer: number): number {
    if (answer === -Errno.EAGAIN) this.owe(Readiness.readable);
    return answer;
  }

  #sender(): IpEndpoint | undefined {
    const { source } = this.#poller.addresses;
    const last = this.#lastBytes;
    if (this.#lastSender && source.every((byte, index) => byte === last[index])) {
      return this.#lastSender;
    }
    last.set(source);
    this.#lastSender = this.#poller.addresses.read();
    return this.#lastSender;
  }
}
