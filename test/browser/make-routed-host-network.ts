/** The implementation that the contract's suite tests, also in processes of its own: everything by one rule to Node's sockets. */
import { createRoutedHostNetwork } from "../../src/browser/routed-host-network.js";
import type { HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";

export default function makeRoutedHostNetwork(): HostNetwork {
  const network = createNodeHostNetwork();
  return createRoutedHostNetwork({
    rules: [{ to: ["127.0.0.0/8", "::1"], network }],
    default: network,
  });
}
