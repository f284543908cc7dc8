/**
 * Entry `slirp-wasm`: what runs everywhere. The contracts, the configuration, and the stack for who brings a host network of his
 * own; `slirp-wasm/node` is the same with Node's sockets.
 */
import { parseHostForward, resolveSlirpOptions } from "./config/index.js";
import type { HostNetwork } from "./host-network.js";
import { loadModule, type ModuleSource } from "./slirp/load-module.js";
import { Slirp } from "./slirp/slirp.js";
import type { LogLevel } from "./slirp/stack.js";
import type { SlirpOptions } from "./slirp-options.js";

export * from "./address.js";
export * from "./backend.js";
export * from "./config/index.js";
export * from "./errors.js";
export * from "./host-network.js";
export * from "./slirp-options.js";
export * from "./virtio-net.js";
export { loadModule, type ModuleSource } from "./slirp/load-module.js";
export { Slirp, type SlirpParts } from "./slirp/slirp.js";
export type { LogLevel } from "./slirp/stack.js";
export type { GuestChannel, GuestChannelOptions } from "./slirp/guest-channels.js";
export type { GuestConnectOptions } from "./slirp/guest-connections.js";
export type { GuestSocket, GuestSocketInfo, SocketBytes } from "./slirp/guest-socket.js";
export type { SocketDescription } from "./slirp/socket-table.js";

/** How a stack is made; see {@link createSlirp}. */
export interface CreateSlirpOptions {
  /** What the guest sees and may do. Default: QEMU's 10.0.2.0/24 and fec0::/64. */
  readonly slirp?: SlirpOptions;
  /** What the stack's sockets reach. */
  readonly hostNetwork: HostNetwork;
  /** Close the host network with the stack. Default false. */
  readonly ownsNetwork?: boolean;
  /** The WebAssembly module, where it is not the file in the package: URL, bytes, or compiled. */
  readonly wasm?: ModuleSource;
  /** Ends the making, and the stack made. */
  readonly signal?: AbortSignal;
  /** Told what libslirp has to say. Default: nobody. */
  readonly onLog?: (level: LogLevel, text: string) => void;
}

/**
 * Makes a stack. Receiving is off: set `callbacks`, then `enableReceive()`; a NIC's `attach` function does both.
 * @throws SlirpError `invalidConfiguration`, `unsupportedOption`, `forwardFailed`, `moduleUnusable`; the signal's reason.
 */
export async function createSlirp(options: CreateSlirpOptions): Promise<Slirp> {
  const { signal, onLog } = options;
  signal?.throwIfAborted();
  const resolved = resolveSlirpOptions(options.slirp);
  const module = await loadModule(options.wasm);
  return Slirp.create({
    module,
    network: options.hostNetwork,
    options: resolved,
    ownsNetwork: options.ownsNetwork ?? false,
    parseHostForward,
    ...(signal && { signal }),
    ...(onLog && { onLog }),
  });
}
