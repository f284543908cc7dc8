/**
 * Entry `slirp-wasm/service-worker`: shows the web servers in a guest under a path of the site. A service worker of one line:
 *
 *     import { installGuestBridge } from "slirp-wasm/service-worker"; installGuestBridge();
 */
export { installGuestBridge, type GuestBridgeOptions } from "./install-guest-bridge.js";
