/** The implementation that the contract's suite tests, also in processes of its own. */
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { PolicedHostNetwork } from "../../src/relay/policed-host-network.js";

export default function makePolicedHostNetwork(): PolicedHostNetwork {
  return new PolicedHostNetwork(createNodeHostNetwork(), () => true);
}
