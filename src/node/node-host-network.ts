/**
 * HOST NETWORK of Node: the stack's sockets are real sockets, by `node:net` and `node:dgram`.
 *
 * This file puts the parts together; the behaviour is in `node-stream.ts`, `node-listener.ts`, `node-datagram.ts` (each says
 * where Node differs from BSD sockets), the event loop in `node-loop.ts`, resolvers in `dns-servers.ts`.
 *
 * Node has no ICMP sockets: `openEcho` answers `-ENOTSUP`, and the guest can ping its gateway only.
 */
import { performance } from "node:perf_hooks";
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import {
  Errno,
  type HostDatagram,
  type HostFile,
  type HostListener,
  type HostNetwork,
  type HostStream,
  type HostTimer,
  type StreamOptions,
} from "../host-network.js";
import { connectNodeStream } from "./connect-node-stream.js";
import { dnsServerSource } from "./dns-servers.js";
import { errnoOf } from "./errno-of.js";
import { openNodeCommand } from "./node-command.js";
import { NodeDatagram } from "./node-datagram.js";
import { bindError, hostText, systemError } from "./node-endpoints.js";
import { openNodeFile } from "./node-file.js";
import { NodeListener } from "./node-listener.js";
import { NodeLoop } from "./node-loop.js";

/** What can be set; every field has a default that serves. */
export interface NodeHostNetworkOptions {
  /**
   * Resolvers that the guest's questions go to, best first: IP addresses, with a port where it is not 53 (`192.0.2.1`,
   * `[2001:db8::1]:5353`). Default: the system's, as they change.
   */
  readonly dnsServers?: readonly (string | IpEndpoint)[];
  /** Where the system keeps its resolvers. Default `/etc/resolv.conf`. */
  readonly resolvConfPath?: string;
  /**
   * How long a stream that the stack has closed may wait for a reader that takes nothing, milliseconds; then it is reset.
   * Default 60,000: longer than a short stall, and what a stuck peer costs ends some time.
   */
  readonly lingerMs?: number;
  /**
   * How long `close` of the network waits for streams to get rid of what they took, milliseconds; then they are reset.
   * Default 2,000: who ends a program waits for it.
   */
  readonly closeTimeoutMs?: number;
}

const DEFAULT_RESOLV_CONF_PATH = "/etc/resolv.conf";
const DEFAULT_LINGER_MS = 60_000;
const DEFAULT_CLOSE_TIMEOUT_MS = 2000;

/** Makes a host network on Node's sockets. @throws SlirpError `invalidConfiguration` for a resolver that is no address */
export function createNodeHostNetwork(options: NodeHostNetworkOptions = {}): NodeHostNetwork {
  return new NodeHostNetwork(options);
}

/** Node's sockets as a host network; see {@link createNodeHostNetwork}. */
export class NodeHostNetwork implements HostNetwork {
  readonly name = "node";
  readonly dnsServers: () => readonly IpEndpoint[];
  readonly #loop = new NodeLoop();
  readonly #lingerMs: number;
  readonly #closeTimeoutMs: number;

  constructor(options: NodeHostNetworkOptions = {}) {
    const { dnsServers, resolvConfPath = DEFAULT_RESOLV_CONF_PATH } = options;
    this.dnsServers = dnsServerSource(dnsServers, resolvConfPath, () => this.nowMs());
    this.#lingerMs = options.lingerMs ?? DEFAULT_LINGER_MS;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS;
  }

  connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    if (this.#loop.closed) return -Errno.ENETDOWN;
    return connectNodeStream(
      { loop: this.#loop, lingerMs: this.#lingerMs, remote },
      options?.local,
    );
  }

  async listenStream(local: HostEndpoint, options?: { ipv6Only?: boolean }): Promise<HostListener> {
    this.#refuseWhenClosed();
    return NodeListener.listen(this.#loop, this.#lingerMs, local, options);
  }

  openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    if (this.#loop.closed) return -Errno.ENETDOWN;
    const local = options?.local;
    if (local && local.family !== family) return -Errno.EINVAL;
    const opened = NodeDatagram.open(
      this.#loop,
      family,
      local ? { address: hostText(local), port: local.port } : {},
    );
    return opened instanceof Error ? -errnoOf(opened) : opened;
  }

  // async: what fails shall reject, also where it is known at once.
  async bindDatagram(local: IpEndpoint, options?: { ipv6Only?: boolean }): Promise<HostDatagram> {
    this.#refuseWhenClosed();
    const opened = NodeDatagram.open(this.#loop, local.family, {
      address: hostText(local),
      port: local.port,
      ipv6Only: options?.ipv6Only ?? false,
    });
    if (opened instanceof Error) throw bindError(local, "udp", opened);
    return opened;
  }

  openEcho(): number {
    return -Errno.ENOTSUP;
  }

  openFile(path: string): HostFile | number {
    return this.#loop.closed ? -Errno.ENETDOWN : openNodeFile(path);
  }

  openCommand(commandLine: string): HostStream | number {
    if (this.#loop.closed) return -Errno.ENETDOWN;
    return openNodeCommand(this.#loop, this.#lingerMs, commandLine);
  }

  nowMs(): number {
    return performance.now();
  }

  dateMs(): number {
    return Date.now();
  }

  endTurn(): void {
    this.#loop.flushShort();
  }

  scheduleTurn(callback: () => void): void {
    this.#loop.scheduleTurn(callback);
  }

  setTimer(callback: () => void, delayMs: number, keepAlive = true): HostTimer {
    return this.#loop.setTimer(callback, delayMs, keepAlive);
  }

  ref(): void {
    this.#loop.setRef(true);
  }

  unref(): void {
    this.#loop.setRef(false);
  }

  close(): Promise<void> {
    return this.#loop.close(this.#closeTimeoutMs);
  }

  #refuseWhenClosed(): void {
    if (this.#loop.closed) throw systemError("ENETDOWN", "the host network is closed");
  }
}
