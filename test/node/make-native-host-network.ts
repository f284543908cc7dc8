/** The same network on the addon's sockets, also in processes of its own. */
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";

export default () => createNodeHostNetwork({ sockets: "native" });
