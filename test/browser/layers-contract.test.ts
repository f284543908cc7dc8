/** The contract through layers: they take nothing away from the network below. */
import { fileURLToPath } from "node:url";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { ALL_CAPABILITIES } from "../host-network-contract/fixture.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import makeLayeredHostNetwork from "./make-layered-host-network.js";

describeHostNetwork("node, with names and time", {
  make: () => makeLayeredHostNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-layered-host-network.ts", import.meta.url)),
  capabilities: ALL_CAPABILITIES,
});
