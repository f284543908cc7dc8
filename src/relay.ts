/**
 * Entry `slirp-wasm/relay`: the server that turns a page's WebSockets into real sockets.
 */
import { ErrorCode, SlirpError } from "./errors.js";
import { createNodeHostNetwork, createSlirp, type NodeHostNetworkOptions } from "./node.js";
import { PolicedHostNetwork } from "./relay/policed-host-network.js";
import type { CreateGateway } from "./relay/rooms.js";
import type { SlirpOptions } from "./slirp-options.js";

export type { CredentialOptions } from "./relay/credentials.js";
export { listenRelay, type ListeningRelay, type ListenRelayOptions } from "./relay/listen-relay.js";
export type { ForwardOptions } from "./relay/listen-policy.js";
export { DEFAULT_LIMITS, type RelayLimits } from "./relay/limits.js";
export { PolicedHostNetwork, type AllowTarget } from "./relay/policed-host-network.js";
export { createRelay, Relay, type RelayOptions } from "./relay/relay.js";
export type { LogSink } from "./log-sink.js";
export { RelayMetrics } from "./relay/relay-metrics.js";
export type { CreateGateway, GatewayRequest } from "./relay/rooms.js";
export { TargetPolicy, type TargetPolicyOptions, type Verdict } from "./relay/target-policy.js";

/** What the stacks of rooms are. */
export interface SlirpGatewayOptions {
  /** The same for every room. No host forwards, and no files: guests of a relay open nothing on its host. */
  readonly slirp?: SlirpOptions;
  /** Node's sockets. */
  readonly hostNetwork?: NodeHostNetworkOptions;
}

/**
 * Gives each room a stack of its own on Node's sockets, which reaches what the relay's policy lets it reach:
 *
 *     createRelay({ createGateway: createSlirpGateway() })
 *
 * @throws SlirpError `invalidConfiguration` for options that a room cannot have.
 */
export function createSlirpGateway({
  slirp = {},
  hostNetwork,
}: SlirpGatewayOptions = {}): CreateGateway {
  if ((slirp.hostForwards ?? []).length > 0 || slirp.tftpRoot !== undefined) {
    const text =
      "rooms: their guests open no ports of the relay's host and read no files there; leave out hostfwd and tftp";
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  return async ({ allows }) => {
    const network = new PolicedHostNetwork(createNodeHostNetwork(hostNetwork), allows);
    try {
      return await createSlirp({ slirp, hostNetwork: network, ownsNetwork: true });
    } catch (error) {
      await network.close();
      throw error;
    }
  };
}
