/**
 * The contract of host networks through Wisp relays, ours and others'. What the protocol cannot do is said here, by relay.
 */
import { fileURLToPath } from "node:url";
import { afterAll, describe } from "vitest";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import {
  RELAY_CAPABILITIES,
  type HostNetworkCapabilities,
} from "../host-network-contract/fixture.js";
import { listenRelay } from "../../src/relay/listen-relay.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import {
  startWispJs,
  startWispServerNode,
  type TestRelay,
} from "../support/relays/foreign-relays.js";
import makeWispHostNetwork from "./make-wisp-host-network.js";

const PLAIN_WISP: HostNetworkCapabilities = {
  ...RELAY_CAPABILITIES,
  halfClose: "CLOSE is all that Wisp knows",
  reset: "Wisp's relays do not tell RST from FIN",
  flowControl: "Wisp knows no flow control from relay to client",
  listen: "Wisp opens no ports, but for our extension",
};

function describeRelay(
  name: string,
  start: () => Promise<TestRelay>,
  capabilities: HostNetworkCapabilities,
): void {
  describe(`through ${name}`, () => {
    let relay: Promise<TestRelay> | undefined;
    afterAll(async () => {
      await (await relay)?.[Symbol.asyncDispose]();
    });
    describeHostNetwork("wisp", {
      make: async () => {
        relay ??= start();
        return makeWispHostNetwork((await relay).url);
      },
      peers: new PeerKit(),
      childModule: fileURLToPath(new URL("make-wisp-host-network.ts", import.meta.url)),
      capabilities,
    });
  });
}

const OPEN_FORWARDS = { ports: ["1024-65535"], addresses: ["0.0.0.0", "::"] };
const OPEN_RELAY = { allow: ["127.0.0.0/8", "::1"], forwards: OPEN_FORWARDS };

describeRelay("our relay", () => listenRelay(OPEN_RELAY), {
  ...PLAIN_WISP,
  halfClose: true,
  reset: true,
  flowControl: true,
  listen: true,
});
describeRelay("wisp-js, version 2", () => startWispJs(2), PLAIN_WISP);
describeRelay("wisp-server-node, version 1", startWispServerNode, {
  ...PLAIN_WISP,
  backpressure: "this relay gives credits for what it has not written",
  datagrams: "this relay loses what comes before its own socket is connected",
});
