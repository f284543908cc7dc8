import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { ROOT } from "../house/scratch.js";
import makeNativeHostNetwork from "./make-native-host-network.js";

// The processes of the suite are bundles elsewhere.
process.env["SLIRP_WASM_ADDONS"] ??= join(ROOT, "prebuilds", `${process.platform}-${process.arch}`);

describeHostNetwork("node, by the addon", {
  make: () => makeNativeHostNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-native-host-network.ts", import.meta.url)),
  capabilities: {
    halfClose: true,
    reset: true,
    refused: true,
    localEndpoint: true,
    backpressure: true,
    flowControl: true,
    unixStreams: true,
    ipv6: true,
    listen: true,
    localAddress: true,
    datagrams: true,
    descriptors: true,
    holdsProcess: true,
  },
});
