/**
 * Sockets by the addon, on Linux: the kernel's own, without Node's streams in between.
 *
 * A connection that lives for a request costs a few system calls and two small objects here, and a byte costs one copy, between the
 * kernel and linear memory. And what Node does not tell, the kernel does: a reset on a stream that nobody reads, a UDP port where nobody
 * is, the answer to a ping.
 *
 * The files beside this one: `native-poller.ts` (readiness), `native-stream.ts`, `native-linger.ts`, `native-listener.ts`,
 * `native-datagram.ts`; `socket-addon.ts` has the calls.
 */
import { ipEndpoint, type HostEndpoint, type IpEndpoint, type IpFamily } from "../address.js";
import {
  Errno,
  type ErrnoName,
  type HostDatagram,
  type HostListener,
  type HostStream,
} from "../host-network.js";
import { errnoOf } from "./errno-of.js";
import { explainUnixInUse } from "./explain-unix-in-use.js";
import type { BindOptions, HostSockets } from "./host-sockets.js";
import { NativeDatagram } from "./native-datagram.js";
import { NativeListener } from "./native-listener.js";
import { isShortage, NativePoller } from "./native-poller.js";
import { NativeStream } from "./native-stream.js";
import { bindError, isUsablePath, systemError } from "./node-endpoints.js";
import type { NodeLoop } from "./node-loop.js";
import { loadSocketAddon, type SocketAddon } from "./socket-addon.js";

const ANY = { 4: ipEndpoint("0.0.0.0", 0), 6: ipEndpoint("::", 0) } as const;

const MAX_PORT = 65_535;

/** What the network gives its sockets. Times in the names' units; see `NodeHostNetworkOptions`. */
export interface NativeSettings {
  readonly loop: NodeLoop;
  readonly lingerMs: number;
  readonly busyPollUs: number;
}

export class NativeSockets implements HostSockets {
  readonly kind = "native";
  readonly #addon: SocketAddon;
  readonly #settings: NativeSettings;
  /** Made for the first socket: a network that has none costs no descriptor. */
  #poller: NativePoller | undefined;

  /** @throws SlirpError `addonUnavailable` */
  constructor(settings: NativeSettings) {
    this.#addon = loadSocketAddon();
    this.#settings = settings;
  }

  connectStream(remote: HostEndpoint, local: IpEndpoint | undefined): HostStream | number {
    if (remote.family === "unix" && !isUsablePath(remote.path)) return -Errno.EINVAL;
    if (remote.family !== "unix" && !areConnectable(remote, local)) return -Errno.EINVAL;
    const poller = this.#usePoller();
    if (typeof poller === "number") return poller;
    const { calls, addresses } = poller;
    const id =
      remote.family === "unix"
        ? calls.connectUnix(remote.path)
        : calls.connect(addresses.write(remote), local && addresses.copyOf(local));
    if (isShortage(id)) return id;
    return new NativeStream({ poller, lingerMs: this.#settings.lingerMs, remote }, id, false);
  }

  async listenStream(local: HostEndpoint, options: BindOptions | undefined): Promise<HostListener> {
    if (local.family === "unix" && !isUsablePath(local.path)) {
      throw systemError("EINVAL", `cannot bind unix:${local.path}: too long a path, or none`);
    }
    const poller = this.#usePoller();
    const listener =
      typeof poller === "number"
        ? poller
        : NativeListener.open(poller, this.#settings.lingerMs, local, options?.ipv6Only ?? false);
    if (typeof listener === "number") {
      const error = errorOf(listener);
      if (local.family === "unix") await explainUnixInUse(local, error);
      throw bindError(local, "tcp", error);
    }
    // Who closes the network in the meantime has closed it, too.
    await Promise.resolve();
    if (this.#settings.loop.closed) {
      listener.close();
      throw systemError("ENETDOWN", "the host network was closed meanwhile");
    }
    return listener;
  }

  openDatagram(family: IpFamily, local: IpEndpoint | undefined): HostDatagram | number {
    const poller = this.#usePoller();
    if (typeof poller === "number") return poller;
    return NativeDatagram.open(poller, local ?? ANY[family], false);
  }

  async bindDatagram(local: IpEndpoint, options: BindOptions | undefined): Promise<HostDatagram> {
    const poller = this.#usePoller();
    const opened =
      typeof poller === "number"
        ? poller
        : NativeDatagram.open(poller, local, options?.ipv6Only ?? false);
    if (typeof opened === "number") throw bindError(local, "udp", errorOf(opened));
    return opened;
  }

  openEcho(family: IpFamily): HostDatagram | number {
    const poller = this.#usePoller();
    return typeof poller === "number" ? poller : NativeDatagram.openEcho(poller, family);
  }

  end(): void {
    this.#poller?.calls.end();
    this.#poller = undefined;
  }

  /** The poller, or a negative errno where there is no descriptor for it. */
  #usePoller(): NativePoller | number {
    const { loop, busyPollUs } = this.#settings;
    try {
      this.#poller ??= new NativePoller(this.#addon, loop, busyPollUs);
      return this.#poller;
    } catch (error) {
      return -errnoOf(error);
    }
  }
}

function areConnectable(remote: IpEndpoint, local: IpEndpoint | undefined): boolean {
  if (remote.port > MAX_PORT || (local !== undefined && local.port > MAX_PORT)) return false;
  return local === undefined || local.family === remote.family;
}

/** A negative answer as the error that Node would have thrown. */
function errorOf(answer: number): Error {
  const names = Object.keys(Errno) as ErrnoName[];
  const name = names.find((key) => Errno[key] === -answer) ?? "EIO";
  return systemError(name, name);
}
