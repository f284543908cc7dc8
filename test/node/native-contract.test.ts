import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { it } from "vitest";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { ALL_CAPABILITIES, type HostNetworkFixture } from "../host-network-contract/fixture.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { ROOT } from "../house/scratch.js";
import makeNativeHostNetwork from "./make-native-host-network.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

// The processes of the suite are bundles elsewhere.
process.env["SLIRP_WASM_ADDONS"] ??= join(ROOT, "prebuilds", `${process.platform}-${process.arch}`);

const missing = whyNoNativeSockets();
const fixture: HostNetworkFixture = {
  make: () => makeNativeHostNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-native-host-network.ts", import.meta.url)),
  capabilities: ALL_CAPABILITIES,
};

if (missing === undefined) describeHostNetwork("node, by the addon", fixture);
else it("is a host network", (context) => context.skip(missing));
