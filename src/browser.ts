/**
 * Entry `slirp-wasm/browser`: the stack in a page or worker, its sockets on relays.
 *
 *     const slirp = await createSlirp({ relay: "wss://relay.example.org/" });
 *     const slirp = await createSlirp({ http: true, dns: { static: { "home.test": "10.0.2.2" } } });
 */
import type { NetBackend } from "./backend.js";
import type { OpenBackendOptions as OpenOn } from "./backends/registry.js";
import { openBackend as openBackendOn } from "./index.js";
import { createPageSlirp, type PageSlirpOptions } from "./page-slirp.js";
import type { Slirp } from "./slirp/slirp.js";
import type { SlirpBackend } from "./slirp-backend.js";
import type { WorkerOption } from "./worker/start-worker.js";

export * from "./index.js";
export type { PageNetworkOptions } from "./browser/choose-host-network.js";
export type { WispCredentials } from "./browser/wisp-handshake.js";
export {
  createWispHostNetwork,
  WispHostNetwork,
  type WispHostNetworkOptions,
} from "./browser/wisp-host-network.js";
export { serveGuest, type GuestFetcher, type ServedGuest } from "./browser/serve-guest.js";
export {
  createFetchHostNetwork,
  createRoutedHostNetwork,
  createWsproxyHostNetwork,
  withNames,
  withTime,
} from "./browser/lazy-networks.js";
export type { FetchHostNetworkOptions, RefusedConnection } from "./browser/fetch-host-network.js";
export type { HttpRequestReport } from "./browser/fetch-gateway.js";
export type { DnsQueryReport, NameSource } from "./browser/name-service.js";
export type { NameOptions } from "./browser/named-host-network.js";
export type {
  RoutedHostNetworkOptions,
  RouteRule,
  RouteTarget,
} from "./browser/routed-host-network.js";
export type { StaticNameTable } from "./browser/static-names.js";
export type { TimeOptions } from "./browser/timed-host-network.js";
export type { WsproxyHostNetworkOptions } from "./browser/wsproxy-host-network.js";
export type { WorkerOption } from "./worker/start-worker.js";
export type { WorkerLike } from "./worker/worker-link.js";
export type { RelayStatus, WispRelay } from "./browser/wisp-relays.js";

/** As everywhere, but instead of a host network, relays can be named, and the stack can run in a worker. */
export interface CreateSlirpOptions extends PageSlirpOptions {
  /**
   * Runs stack and relays in a dedicated worker; see {@link WorkerOption}. All other options go there by message: callbacks are called
   * here, other functions and `hostNetwork` are refused. Default: the thread that calls.
   */
  readonly worker?: WorkerOption | false | undefined;
}

/**
 * Makes a stack. Where no host network is given, it has one of its own on relays or `fetch` and closes it with itself.
 * @throws SlirpError `invalidConfiguration` where nothing says how to reach the world, or options contradict each other, `workerFailed`
 * where the worker does not start, `unsupportedOption` for what cannot go into it, and what the other entries throw.
 */
export function createSlirp(
  options: CreateSlirpOptions & { readonly worker?: false | undefined },
): Promise<Slirp>;
export function createSlirp(options: CreateSlirpOptions): Promise<SlirpBackend>;
export async function createSlirp(options: CreateSlirpOptions): Promise<SlirpBackend> {
  const { worker, ...rest } = options;
  if (worker === undefined || worker === false) return createPageSlirp(rest);
  // A page without a worker does not load what it takes.
  const { createWorkerSlirp } = await import("./worker/create-worker-slirp.js");
  return createWorkerSlirp(worker, rest, () => import("./slirp/guest-fetch.js"));
}

/** As everywhere, and how a stack is made. */
export interface OpenBackendOptions extends OpenOn {
  /** For `user` and `slirp`: the relays, above all. */
  readonly stack?: Omit<CreateSlirpOptions, "slirp">;
}

/** As in `slirp-wasm`; stacks are made with {@link createSlirp} of this entry. @throws as there */
export function openBackend(name: string, options: OpenBackendOptions = {}): Promise<NetBackend> {
  const { stack, ...rest } = options;
  return openBackendOn(name, { createSlirp: (slirp) => createSlirp({ ...stack, slirp }), ...rest });
}
