/** The page's service worker: shows what the guest serves. */
import { installGuestBridge } from "slirp-wasm/service-worker";

installGuestBridge();
