/**
 * A UDP socket as the stack sees it: the host network's own, plus what the virtual name server needs.
 *
 * What goes to the placeholder for "the resolver" goes to the real one, if need be through a second socket of the other IP
 * version; what comes from it is said to come from the placeholder.
 */
import type { IpEndpoint, IpFamily } from "../address.js";
import {
  Errno,
  type DatagramSource,
  type HostDatagram,
  type HostNetwork,
} from "../host-network.js";
import {
  isResolverPlaceholder,
  resolverFor,
  resolverPlaceholder4,
  resolverPlaceholder6,
} from "./name-server.js";

/** Resolvers whose answers are still recognised; a guest's port that asked more of them has moved on. */
const REMEMBERED_RESOLVERS = 4;

function isSame(a: IpEndpoint, b: IpEndpoint): boolean {
  return a.port === b.port && a.address === b.address;
}

/** See the top of the file. */
export class ResolvingDatagram {
  private other: HostDatagram | undefined;
  private readonly asked: IpEndpoint[] = [];
  private unanswered = 0;
  private readListener: ((events: number) => void) | undefined;

  constructor(
    private readonly network: HostNetwork,
    private readonly family: IpFamily,
    private readonly main: HostDatagram,
  ) {}

  get localEndpoint() {
    return this.main.localEndpoint;
  }

  get droppedDatagrams(): number | undefined {
    const { droppedDatagrams: dropped } = this.main;
    return dropped === undefined ? undefined : dropped + (this.other?.droppedDatagrams ?? 0);
  }

  set onReady(listener: ((events: number) => void) | undefined) {
    this.readListener = listener;
    this.main.onReady = listener;
    if (this.other) this.other.onReady = listener;
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (!isResolverPlaceholder(remote)) return this.main.sendTo(bytes, remote);
    const resolver = resolverFor(this.network, this.unanswered);
    if (!resolver) return -Errno.ENETUNREACH;
    const socket = resolver.family === this.family ? this.main : this.openOther(resolver.family);
    if (typeof socket === "number") return socket;
    this.unanswered++;
    this.remember(resolver);
    return socket.sendTo(bytes, resolver);
  }

  nextLength(): number {
    const length = this.main.nextLength();
    return length === -Errno.EAGAIN && this.other ? this.other.nextLength() : length;
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    let length = this.main.receiveFrom(target, source);
    if (length === -Errno.EAGAIN && this.other) length = this.other.receiveFrom(target, source);
    const from = source.endpoint;
    if (length >= 0 && from && this.asked.some((resolver) => isSame(resolver, from))) {
      this.unanswered = 0;
      source.endpoint = this.family === 4 ? resolverPlaceholder4 : resolverPlaceholder6;
    }
    return length;
  }

  takeError(): number {
    return this.main.takeError();
  }

  close(): void {
    this.main.close();
    this.other?.close();
  }

  private remember(resolver: IpEndpoint): void {
    if (this.asked.some((known) => isSame(known, resolver))) return;
    this.asked.push(resolver);
    if (this.asked.length > REMEMBERED_RESOLVERS) this.asked.shift();
  }

  private openOther(family: IpFamily): HostDatagram | number {
    if (this.other) return this.other;
    const socket = this.network.openDatagram(family);
    if (typeof socket === "number") return socket;
    socket.onReady = this.readListener;
    this.other = socket;
    return socket;
  }
}
