/**
 * Entry `slirp-wasm/tap`: TAP devices of Linux as backends.
 *
 *     const tap = await openTap({ name: "tap0" });
 */
export { openTap, type TapOptions } from "./backends/tap.js";
export { TapBackend } from "./backends/tap-backend.js";
export type { TapDeviceOptions } from "./backends/tap-device.js";
