/**
 * HOST NETWORK of Node: the stack's sockets are real sockets. There are two ways to them (`HostSockets`): `node:net` and `node:dgram`,
 * which are there everywhere (`node-sockets.ts`, and the files it names, each of which says where Node differs from BSD sockets); and
 * a native addon on Linux (`native-sockets.ts`), which is faster and tells more.
 *
 * This file puts the parts together. Common to both are the event loop in `node-loop.ts`, resolvers in `dns-servers.ts`, files, commands.
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
import { dnsServerSource } from "./dns-servers.js";
import type { HostSockets } from "./host-sockets.js";
import { NativeSockets, type NativeSettings } from "./native-sockets.js";
import { openNodeCommand } from "./node-command.js";
import { systemError } from "./node-endpoints.js";
import { openNodeFile } from "./node-file.js";
import { NodeLoop } from "./node-loop.js";
import { NodeSockets } from "./node-sockets.js";
import { MAX_BUSY_POLL_US } from "./socket-addon.js";
import { ErrorCode, SlirpError } from "../errors.js";

/** Which sockets a host network is on; see {@link NodeHostNetworkOptions}.sockets. */
export type SocketChoice = "node" | "native" | "auto";

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
  /**
   * `"node"`: sockets of `node:net` and `node:dgram`. `"native"`: those of the package's addon, on Linux: less work for each connection and
   * byte, resets and unreachable UDP ports are told, and ICMP echo where the system allows it; where the addon is not to be had, making the
   * network fails with `addonUnavailable`, and the message lists what was tried. `"auto"`: native where the addon loads, else Node's.
   * Default `"node"`.
   */
  readonly sockets?: SocketChoice;
  /**
   * How long the event loop may ask again and again whether something has come before it sleeps, microseconds, 0 to 1,000. Questions and
   * answers are some times faster by it, because being woken costs more than they do. It is done while waits have been that short lately;
   * the time is the process's own processor time, and is offered to other processes first. It is for processes that do nothing else, and
   * for native sockets: with Node's nothing is done. Default 0.
   */
  readonly busyPollUs?: number;
}

const DEFAULT_RESOLV_CONF_PATH = "/etc/resolv.conf";
const DEFAULT_LINGER_MS = 60_000;
const DEFAULT_CLOSE_TIMEOUT_MS = 2000;

/**
 * Makes a host network on sockets of this system.
 * @throws SlirpError `invalidConfiguration` for what is not as the options say; `addonUnavailable` where `sockets` is "native" and cannot be
 */
export function createNodeHostNetwork(options: NodeHostNetworkOptions = {}): NodeHostNetwork {
  return new NodeHostNetwork(options);
}

/** This system's sockets as a host network; see {@link createNodeHostNetwork}. */
export class NodeHostNetwork implements HostNetwork {
  readonly name = "node";
  readonly dnsServers: () => readonly IpEndpoint[];
  readonly #loop = new NodeLoop();
  readonly #sockets: HostSockets;
  readonly #lingerMs: number;
  readonly #closeTimeoutMs: number;

  constructor(options: NodeHostNetworkOptions = {}) {
    const { dnsServers, resolvConfPath = DEFAULT_RESOLV_CONF_PATH } = options;
    this.dnsServers = dnsServerSource(dnsServers, resolvConfPath, () => this.nowMs());
    this.#lingerMs = options.lingerMs ?? DEFAULT_LINGER_MS;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS;
    const settings = {
      loop: this.#loop,
      lingerMs: this.#lingerMs,
      busyPollUs: checkBusyPoll(options.busyPollUs ?? 0),
    };
    this.#sockets = chooseSockets(options.sockets ?? "node", settings);
  }

  /** Which sockets it is on. */
  get sockets(): "node" | "native" {
    return this.#sockets.kind;
  }

  connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    if (this.#loop.closed) return -Errno.ENETDOWN;
    return this.#sockets.connectStream(remote, options?.local);
  }

  async listenStream(local: HostEndpoint, options?: { ipv6Only?: boolean }): Promise<HostListener> {
    this.#refuseWhenClosed();
    return this.#sockets.listenStream(local, options);
  }

  openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    if (this.#loop.closed) return -Errno.ENETDOWN;
    const local = options?.local;
    if (local && local.family !== family) return -Errno.EINVAL;
    return this.#sockets.openDatagram(family, local);
  }

  // async: what fails shall reject, also where it is known at once.
  async bindDatagram(local: IpEndpoint, options?: { ipv6Only?: boolean }): Promise<HostDatagram> {
    this.#refuseWhenClosed();
    return this.#sockets.bindDatagram(local, options);
  }

  openEcho(family: IpFamily): HostDatagram | number {
    return this.#loop.closed ? -Errno.ENETDOWN : this.#sockets.openEcho(family);
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

  async close(): Promise<void> {
    await this.#loop.close(this.#closeTimeoutMs);
    this.#sockets.end();
  }

  #refuseWhenClosed(): void {
    if (this.#loop.closed) throw systemError("ENETDOWN", "the host network is closed");
  }
}

/** @throws SlirpError `addonUnavailable` where native ones are wanted, and `invalidConfiguration` for another word. */
function chooseSockets(choice: SocketChoice, settings: NativeSettings): HostSockets {
  const { loop, lingerMs } = settings;
  switch (choice) {
    case "node":
      return new NodeSockets(loop, lingerMs);
    case "native":
      return new NativeSockets(settings);
    case "auto":
      if (!hasNodesEventLoop()) return new NodeSockets(loop, lingerMs);
      try {
        return new NativeSockets(settings);
      } catch {
        return new NodeSockets(loop, lingerMs);
      }
    default: {
      const text = `sockets "${String(choice)}": expected "node", "native" or "auto"`;
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
  }
}

function checkBusyPoll(us: number): number {
  if (Number.isInteger(us) && us >= 0 && us <= MAX_BUSY_POLL_US) return us;
  const text = `busyPollUs ${String(us)}: expected a whole number from 0 to ${String(MAX_BUSY_POLL_US)}`;
  throw new SlirpError(ErrorCode.invalidConfiguration, text);
}

/** Others that run Node's programs load addons, and end the process where one uses the event loop of Node itself (libuv). */
function hasNodesEventLoop(): boolean {
  const { versions } = process;
  return versions["bun"] === undefined && versions["deno"] === undefined;
}
