/**
 * Makes a stack in the thread that asks, page or worker. `browser.ts` is the entry that may put it into a worker instead; this file does
 * not reach that, for the worker's script is built from it.
 */
import { createWispHostNetwork, type WispHostNetworkOptions } from "./browser/wisp-host-network.js";
import type { WispRelay } from "./browser/wisp-relays.js";
import type { HostNetwork } from "./host-network.js";
import { createSlirp as createSlirpOn, type CreateSlirpOptions as CreateOn } from "./index.js";
import type { Slirp } from "./slirp/slirp.js";

/** As everywhere, but instead of a host network, relays can be named. */
export interface PageSlirpOptions extends Omit<CreateOn, "hostNetwork"> {
  /** A Wisp relay, or several, best first: `wss://relay.example.org/`. */
  readonly relay?: string | WispRelay | readonly (string | WispRelay)[];
  /** More of the relays' host network; see {@link WispHostNetworkOptions}. */
  readonly wisp?: Omit<WispHostNetworkOptions, "relays">;
  /** Instead of `relay`. */
  readonly hostNetwork?: HostNetwork;
}

/** See `createSlirp` of the entry. */
export async function createPageSlirp(options: PageSlirpOptions): Promise<Slirp> {
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
