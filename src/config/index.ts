/** What the package's entries take from here; the other files are config's own. */
export { parseBhyveSlirp } from "./bhyve-slirp.js";
export { resolveSlirpOptions } from "./defaults.js";
export { parseGuestForward } from "./guest-forward.js";
export { parseHostForward, parseHostForwards } from "./host-forward.js";
export { parseNetdevBridge } from "./netdev-bridge.js";
export { parseNetdevTap, parseTapName } from "./netdev-tap.js";
export { parseNetdevUser } from "./netdev-user.js";
export { parseNetdev } from "./netdev.js";
