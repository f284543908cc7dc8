import { fileURLToPath } from "node:url";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { ALL_CAPABILITIES } from "../host-network-contract/fixture.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import makeNodeHostNetwork from "./make-node-host-network.js";

describeHostNetwork("node", {
  make: () => makeNodeHostNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-node-host-network.ts", import.meta.url)),
  capabilities: ALL_CAPABILITIES,
});
