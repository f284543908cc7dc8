/**
 * Makes a stack in the thread that asks, page or worker. `browser.ts` is the entry that may put it into a worker instead; this file does
 * not reach that, for the worker's script is built from it.
 */
import { chooseHostNetwork, type PageNetworkOptions } from "./browser/choose-host-network.js";
import { createSlirp as createSlirpOn, type CreateSlirpOptions as CreateOn } from "./index.js";
import type { Slirp } from "./slirp/slirp.js";

/** As everywhere, but how the world is reached can be said in more ways: a relay, the page's own `fetch`, or a host network. */
export interface PageSlirpOptions extends Omit<CreateOn, "hostNetwork">, PageNetworkOptions {}

/** See `createSlirp` of the entry. */
export async function createPageSlirp(options: PageSlirpOptions): Promise<Slirp> {
  const { relay, wisp, wsproxy, http, dns, ntp, hostNetwork: given, ...rest } = options;
  const ways = { relay, wisp, wsproxy, http, dns, ntp, hostNetwork: given };
  rest.signal?.throwIfAborted();
  const hostNetwork = await chooseHostNetwork(ways);
  // A network that was made here ends with the stack; one that was given does only where that is said.
  if (given) return createSlirpOn({ ...rest, hostNetwork });
  try {
    return await createSlirpOn({ ...rest, hostNetwork, ownsNetwork: true });
  } catch (error) {
    await hostNetwork.close();
    throw error;
  }
}
