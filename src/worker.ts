/**
 * Entry `slirp-wasm/worker`: for a worker script of one's own that has stacks. The package's own script is no more than
 *
 *     serveSlirp();
 *
 * An own one can give what a page cannot send, such as a host network:
 *
 *     serveSlirp((asked) => ({ ...asked, hostNetwork: createFetchHostNetwork() }));
 *
 * The host networks of `slirp-wasm/browser` are here too, for that entry also brings what starts workers.
 */
import { createPageSlirp, type PageSlirpOptions } from "./page-slirp.js";
import { serveStacks } from "./worker/serve-stack.js";

export { createFetchHostNetwork } from "./browser/fetch-host-network.js";
export { withNames } from "./browser/named-host-network.js";
export { createRoutedHostNetwork } from "./browser/routed-host-network.js";
export { withTime } from "./browser/timed-host-network.js";
export { createWispHostNetwork } from "./browser/wisp-host-network.js";
export { createWsproxyHostNetwork } from "./browser/wsproxy-host-network.js";
export type { PageSlirpOptions } from "./page-slirp.js";

/**
 * Makes the stacks that pages ask this worker for. To be called while the script is first run.
 * @param change what becomes of the options that a page asks for. Default: they stay.
 */
export function serveSlirp(
  change: (asked: PageSlirpOptions) => PageSlirpOptions = (asked) => asked,
): void {
  serveStacks((asked) => createPageSlirp(change(asked)));
}
