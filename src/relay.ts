/**
 * Entry `slirp-wasm/relay`: the server that turns a page's WebSockets into real sockets.
 */
export { listenRelay, type ListeningRelay, type ListenRelayOptions } from "./relay/listen-relay.js";
export { DEFAULT_LIMITS, type RelayLimits } from "./relay/limits.js";
export { createRelay, Relay, type RelayOptions } from "./relay/relay.js";
export type { RelayLog } from "./relay/relay-log.js";
export { RelayMetrics } from "./relay/relay-metrics.js";
export { TargetPolicy, type TargetPolicyOptions, type Verdict } from "./relay/target-policy.js";
