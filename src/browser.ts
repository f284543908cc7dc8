/**
 * Entry `slirp-wasm/browser`: the stack in a page or worker, its sockets on relays.
 *
 *     const slirp = await createSlirp({ relay: "wss://relay.example.org/" });
 */
import { createWispHostNetwork, type WispHostNetworkOptions } from "./browser/wisp-host-network.js";
import type { WispRelay } from "./browser/wisp-relays.js";
import type { HostNetwork } from "./host-network.js";
import { createSlirp as createSlirpOn, type CreateSlirpOptions as CreateOn } from "./index.js";
import type { Slirp } from "./slirp/slirp.js";

export * from "./index.js";
export type { WispCredentials } from "./browser/wisp-handshake.js";
export {
  createWispHostNetwork,
  WispHostNetwork,
  type WispHostNetworkOptions,
} from "./browser/wisp-host-network.js";
export {
  createWsproxyHostNetwork,
  WsproxyHostNetwork,
  type WsproxyHostNetworkOptions,
} from "./browser/wsproxy-host-network.js";
export {
  createFetchHostNetwork,
  type FetchHostNetworkOptions,
  type RefusedConnection,
} from "./browser/fetch-host-network.js";
export type { HttpRequestReport } from "./browser/fetch-gateway.js";
export { withNames, type NameOptions } from "./browser/named-host-network.js";
export type { DnsQueryReport, NameSource } from "./browser/name-service.js";
export type { StaticNameTable } from "./browser/static-names.js";
export {
  createRoutedHostNetwork,
  type RoutedHostNetworkOptions,
  type RouteRule,
  type RouteTarget,
} from "./browser/routed-host-network.js";
export { withTime, type TimeOptions } from "./browser/timed-host-network.js";
export type { RelayStatus, WispRelay } from "./browser/wisp-relays.js";
export type { WebSocketClass, WebSocketLike } from "./browser/web-socket.js";

/** As everywhere, but instead of a host network, relays can be named. */
export interface CreateSlirpOptions extends Omit<CreateOn, "hostNetwork"> {
  /** A Wisp relay, or several, best first: `wss://relay.example.org/`. */
  readonly relay?: string | WispRelay | readonly (string | WispRelay)[];
  /** More of the relays' host network; see {@link WispHostNetworkOptions}. */
  readonly wisp?: Omit<WispHostNetworkOptions, "relays">;
  /** Instead of `relay`. */
  readonly hostNetwork?: HostNetwork;
}

/**
 * Makes a stack. Where relays are named, it has a host network of its own on them and closes it with itself.
 * @throws SlirpError `invalidConfiguration` where neither a relay nor a host network is given, and what the other entries throw.
 */
export async function createSlirp(options: CreateSlirpOptions): Promise<Slirp> {
  const { relay, wisp, hostNetwork, ...rest } = options;
  if (hostNetwork) return createSlirpOn({ ...rest, hostNetwork });
  const relays = relay === undefined ? [] : isList(relay) ? relay : [relay];
  const network = createWispHostNetwork({ ...wisp, relays });
  try {
    return await createSlirpOn({ ...rest, hostNetwork: network, ownsNetwork: true });
  } catch (error) {
    await network.close();
    throw error;
  }
}

/** Array.isArray forgets what is in a readonly array. */
function isList(
  relay: string | WispRelay | readonly (string | WispRelay)[],
): relay is readonly (string | WispRelay)[] {
  return Array.isArray(relay);
}
