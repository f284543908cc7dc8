/**
 * Entry `slirp-wasm/tap`: TAP devices of Linux as backends.
 *
 *     const tap = await openTap({ name: "tap0" });
 *
 * Who imports it can open them by name, too: `openBackend("tap0")`, `openBackend("tap:ifname=tap0,netns=blue")`,
 * `openBackend("bridge,br=br0")`.
 */
import { registerBackend } from "./backends/registry.js";
import { openTap } from "./backends/tap.js";
import { parseNetdevBridge, parseTapName } from "./config/index.js";

export { openTap, openTapQueues, type OpenTapOptions } from "./backends/tap.js";
export { TapBackend } from "./backends/tap-backend.js";
export { deleteTap, listTaps, type TapDetails } from "./backends/tap-details.js";
export {
  TapInstances,
  type TapInstance,
  type TapInstanceDefaults,
  type TapInstanceDetails,
  type TapInstanceOptions,
} from "./backends/tap-instances.js";
export type { TapDevice } from "./backends/tap-device.js";
export type { LinkState } from "./backends/tap-link-watch.js";
export type { OffloadSwitches } from "./backends/tap-offloads.js";
export type { TapVhostDetails } from "./backends/tap-vhost.js";
export type { TapLinkOptions, TapOptions } from "./tap-options.js";

registerBackend({
  prefixes: ["bridge"],
  usage: "bridge,br=br0",
  open: (name, { signal }) => openTap({ ...parseNetdevBridge(name), ...(signal && { signal }) }),
});

registerBackend({
  prefixes: ["tap", "vmnet"],
  usage: "tap:tap0",
  open: (name, { signal }) => openTap({ ...parseTapName(name), ...(signal && { signal }) }),
});
