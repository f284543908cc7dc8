/** The contract through a routing table: to Node's sockets, which can do everything, and to a relay, which tells late. */
import { fileURLToPath } from "node:url";
import { afterAll, describe } from "vitest";
import { createRoutedHostNetwork } from "../../src/browser/routed-host-network.js";
import { listenRelay } from "../../src/relay/listen-relay.js";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { ALL_CAPABILITIES, RELAY_CAPABILITIES } from "../host-network-contract/fixture.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import makeRoutedHostNetwork from "./make-routed-host-network.js";
import makeWispHostNetwork from "./make-wisp-host-network.js";

describeHostNetwork("routed to node", {
  make: () => makeRoutedHostNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-routed-host-network.ts", import.meta.url)),
  capabilities: {
    ...ALL_CAPABILITIES,
    descriptors: "a UDP socket is opened when something is sent",
  },
});

describe("through our relay", () => {
  let relay: ReturnType<typeof listenRelay> | undefined;
  afterAll(async () => {
    await (await relay)?.close(0);
  });
  describeHostNetwork("routed to wisp", {
    make: async () => {
      relay ??= listenRelay({ allow: ["127.0.0.0/8", "::1"] });
      const network = makeWispHostNetwork((await relay).url);
      return createRoutedHostNetwork({
        rules: [{ to: ["tcp", "udp"], network }],
        default: "refuse",
      });
    },
    peers: new PeerKit(),
    childModule: fileURLToPath(new URL("make-wisp-host-network.ts", import.meta.url)),
    capabilities: { ...RELAY_CAPABILITIES, listen: "this relay opens no ports" },
  });
});
