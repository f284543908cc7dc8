/** The implementation that the contract's suite tests, also in processes of its own. */
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";

export default createNodeHostNetwork;
