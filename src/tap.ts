/**
 * Entry `slirp-wasm/tap`: TAP devices of Linux as backends.
 *
 *     const tap = await openTap({ name: "tap0" });
 */
export { openTap, openTapQueues, type OpenTapOptions } from "./backends/tap.js";
export { TapBackend } from "./backends/tap-backend.js";
export type { TapDevice } from "./backends/tap-device.js";
export type { LinkState } from "./backends/tap-link-watch.js";
export type { OffloadSwitches } from "./backends/tap-offloads.js";
export type { TapLinkOptions, TapOptions } from "./tap-options.js";
