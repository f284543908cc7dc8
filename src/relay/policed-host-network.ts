/**
 * A HostNetwork whose guests reach what a rule lets them reach, and open nothing on the host: for stacks that strangers use.
 *
 * What is refused looks like a host that cannot be reached. The resolvers of the host network itself are open on port 53, for guests ask
 * them by the stack's virtual name server. A guest has no files, commands, sockets of the file system or listening ports here.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import {
  Errno,
  type DatagramSource,
  type HostDatagram,
  type HostListener,
  type HostNetwork,
  type HostStream,
  type HostTimer,
  type ReadyListener,
  type StreamOptions,
} from "../host-network.js";

/** Whether guests may send to an address and port. Asked for each TCP connection, and once for each peer of a UDP socket. */
export type AllowTarget = (address: string, port: number) => boolean;

/** Echo requests have no port; what is allowed on this one may be pinged (RFC 862). */
const ECHO_PORT = 7;

/** Peers of a UDP socket whose verdict is remembered. */
const MAX_REMEMBERED_PEERS = 256;

/** A host network that reaches what somebody allows of another one: for guests of strangers. */
export class PolicedHostNetwork implements HostNetwork {
  readonly name: string;
  readonly #inner: HostNetwork;
  readonly #allows: AllowTarget;

  /** Closing it closes `inner`. */
  constructor(inner: HostNetwork, allows: AllowTarget) {
    this.name = inner.name;
    this.#inner = inner;
    this.#allows = allows;
  }

  connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    if (remote.family === "unix") return -Errno.EACCES;
    if (!this.#mayReach(remote, remote.port)) return -Errno.EHOSTUNREACH;
    return this.#inner.connectStream(remote, options);
  }

  async listenStream(local: HostEndpoint): Promise<HostListener> {
    throw refusal(`listen on ${JSON.stringify(local)}`);
  }

  openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    const inner = this.#inner.openDatagram(family, options);
    if (typeof inner === "number") return inner;
    return new PolicedDatagram(inner, (remote) => this.#mayReach(remote, remote.port));
  }

  async bindDatagram(local: IpEndpoint): Promise<HostDatagram> {
    throw refusal(`bind ${local.address} port ${String(local.port)}`);
  }

  openEcho(family: IpFamily): HostDatagram | number {
    const inner = this.#inner.openEcho(family);
    if (typeof inner === "number") return inner;
    return new PolicedDatagram(inner, (remote) => this.#allows(remote.address, ECHO_PORT));
  }

  dnsServers(): readonly IpEndpoint[] {
    return this.#inner.dnsServers();
  }

  nowMs(): number {
    return this.#inner.nowMs();
  }

  dateMs(): number {
    return this.#inner.dateMs();
  }

  scheduleTurn(callback: () => void): void {
    this.#inner.scheduleTurn(callback);
  }

  setTimer(callback: () => void, delayMs: number, keepAlive?: boolean): HostTimer {
    return this.#inner.setTimer(callback, delayMs, keepAlive);
  }

  ref(): void {
    this.#inner.ref();
  }

  unref(): void {
    this.#inner.unref();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #mayReach(remote: IpEndpoint, port: number): boolean {
    const isResolver = this.#inner
      .dnsServers()
      .some((server) => server.address === remote.address && server.port === port);
    return isResolver || this.#allows(remote.address, port);
  }
}

/** A datagram socket that sends to some only. What comes, comes from those it has sent to, or from nobody who knows of it. */
class PolicedDatagram implements HostDatagram {
  readonly #inner: HostDatagram;
  readonly #mayReach: (remote: IpEndpoint) => boolean;
  readonly #verdicts = new Map<string, boolean>();

  constructor(inner: HostDatagram, mayReach: (remote: IpEndpoint) => boolean) {
    this.#inner = inner;
    this.#mayReach = mayReach;
  }

  get localEndpoint(): HostEndpoint | undefined {
    return this.#inner.localEndpoint;
  }

  get onReady(): ReadyListener | undefined {
    return this.#inner.onReady;
  }

  set onReady(listener: ReadyListener | undefined) {
    this.#inner.onReady = listener;
  }

  takeError(): number {
    return this.#inner.takeError();
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    return this.#judge(remote) ? this.#inner.sendTo(bytes, remote) : -Errno.EHOSTUNREACH;
  }

  nextLength(): number {
    return this.#inner.nextLength();
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    return this.#inner.receiveFrom(target, source);
  }

  close(): void {
    this.#inner.close();
  }

  #judge(remote: IpEndpoint): boolean {
    const peer = `${remote.address} ${String(remote.port)}`;
    const known = this.#verdicts.get(peer);
    if (known !== undefined) return known;
    if (this.#verdicts.size >= MAX_REMEMBERED_PEERS) this.#verdicts.clear();
    const verdict = this.#mayReach(remote);
    this.#verdicts.set(peer, verdict);
    return verdict;
  }
}

/** As a host network says it: an Error with the name of an errno. */
function refusal(what: string): Error {
  return Object.assign(new Error(`guests may not ${what}`), { code: "EACCES" });
}
