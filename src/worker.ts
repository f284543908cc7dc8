/**
 * Entry `slirp-wasm/worker`: for a worker script of one's own that has stacks. The package's own script is no more than
 *
 *     serveSlirp();
 *
 * An own one can give what a page cannot send, such as a host network: `serveSlirp({ hostNetwork })`.
 */
import { createPageSlirp, type PageSlirpOptions } from "./page-slirp.js";
import { serveStacks } from "./worker/serve-stack.js";

export type { PageSlirpOptions } from "./page-slirp.js";

/** Makes the stacks that pages ask this worker for. `options` go before the page's. To be called while the script is first run. */
export function serveSlirp(options: Partial<PageSlirpOptions> = {}): void {
  serveStacks((asked) => createPageSlirp({ ...asked, ...options }));
}
