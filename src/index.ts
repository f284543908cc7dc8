/**
 * Entry `slirp-wasm`: what runs everywhere. The contracts, the configuration, and the stack for who brings a host network of his
 * own; `slirp-wasm/node` is the same with Node's sockets.
 */
import type { NetBackend } from "./backend.js";
import { BROADCAST_CHANNEL_KIND } from "./backends/broadcast-channel-backend.js";
import {
  openRegisteredBackend,
  type BackendKind,
  type OpenBackendOptions,
} from "./backends/registry.js";
import { WEB_SOCKET_KIND } from "./backends/web-socket-backend.js";
import { parseHostForward, parseNetdev, resolveSlirpOptions } from "./config/index.js";
import { ErrorCode, SlirpError } from "./errors.js";
import type { HostNetwork } from "./host-network.js";
import { loadModule, type ModuleSource } from "./slirp/load-module.js";
import { Slirp } from "./slirp/slirp.js";
import type { LogLevel } from "./slirp-backend.js";
import type { SlirpOptions } from "./slirp-options.js";

export * from "./address.js";
export * from "./backend.js";
export * from "./config/index.js";
export * from "./errors.js";
export * from "./host-network.js";
export type * from "./slirp-backend.js";
export * from "./slirp-options.js";
export type { TapLinkOptions, TapOptions } from "./tap-options.js";
export * from "./virtio-net.js";
export { CapturingBackend, withCapture, type CaptureOptions } from "./backends/capture.js";
export { CaptureMemory, type CaptureMemoryOptions } from "./backends/capture-memory.js";
export {
  CaptureDirection,
  PcapngWriter,
  type CaptureSink,
  type PcapngOptions,
} from "./backends/pcapng-writer.js";
export {
  backendPrefixes,
  registerBackend,
  type BackendKind,
  type OpenBackendOptions,
} from "./backends/registry.js";
export { WebSocketBackend, type WebSocketBackendOptions } from "./backends/web-socket-backend.js";
export { BackendCable, type BackendCableOptions } from "./nics/backend-cable.js";
export { createSwitch, FrameSwitch, type FrameSwitchOptions } from "./frames/frame-switch.js";
export type { FrameQueueLimits } from "./frames/frame-queue.js";
export type { WebSocketClass, WebSocketLike } from "./web-socket.js";
export { loadModule, type ModuleSource } from "./slirp/load-module.js";
export { Slirp, type SlirpParts } from "./slirp/slirp.js";

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

/** Stacks, by QEMU's or bhyve's words. */
const SLIRP_KIND: BackendKind = {
  prefixes: ["user", "slirp"],
  usage: "user,hostfwd=tcp::8080-:80",
  open: async (name, { createSlirp: create }) => {
    const options = parseNetdev(name);
    if (create) return create(options);
    const text = `${name}: a stack needs a host network; use openBackend of slirp-wasm/node or slirp-wasm/browser, or give createSlirp`;
    throw new SlirpError(ErrorCode.missingRequirement, text);
  },
};

/**
 * Opens a backend by its name: a WebSocket's URL, `user,…` or `slirp,…` for a stack, `inbrowser` for the guests of other tabs, and what
 * is registered (`slirp-wasm/tap`).
 * @throws SlirpError `unknownBackend` that lists what there is; `invalidConfiguration` for a name that cannot be read; and what the
 *   kind throws.
 */
export function openBackend(name: string, options: OpenBackendOptions = {}): Promise<NetBackend> {
  return openRegisteredBackend(name, options, [
    WEB_SOCKET_KIND,
    BROADCAST_CHANNEL_KIND,
    SLIRP_KIND,
  ]);
}
