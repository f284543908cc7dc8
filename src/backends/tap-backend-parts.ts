/** What a TAP backend is made of, beside its descriptor. */
import type { DownScript } from "./tap-script.js";
import type { SharedOffloads } from "./tap-shared-offloads.js";
import type { VhostQueue } from "./tap-vhost.js";

/** See the top of the file. */
export interface TapBackendParts {
  readonly downScript?: DownScript | undefined;
  /** vhost-net, or why frames go without. */
  readonly vhost: VhostQueue | string;
  /** Shared with the device's other queues. Default: it is the only one. */
  readonly offloads?: SharedOffloads;
}
