/**
 * The contract of host networks through wsproxy relays, ours and others'. What the protocol cannot do is said here, by relay.
 *
 * wisp-js has such a mode too, but what a client sends ends its connection there: it hands ArrayBuffers to Node's sockets, which take none.
 */
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe } from "vitest";
import type { WebSocketClass } from "../../src/browser/web-socket.js";
import { listenRelay } from "../../src/relay/listen-relay.js";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import {
  RELAY_CAPABILITIES,
  type HostNetworkCapabilities,
} from "../host-network-contract/fixture.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import {
  startWebsockify,
  websockifyMissing,
  type TestRelay,
} from "../support/relays/foreign-relays.js";
import { nodeWebSocket } from "./make-wisp-host-network.js";
import makeWsproxyHostNetwork, { pageWebSocket } from "./make-wsproxy-host-network.js";

const WSPROXY: HostNetworkCapabilities = {
  ...RELAY_CAPABILITIES,
  halfClose: "a WebSocket is closed both ways",
  reset: "a WebSocket's close does not tell RST from FIN",
  listen: "wsproxy opens no ports",
  datagrams: "wsproxy knows TCP only",
};

function describeRelay(
  name: string,
  start: () => Promise<TestRelay>,
  capabilities: HostNetworkCapabilities,
  { missing, webSocket = nodeWebSocket }: { missing?: string; webSocket?: WebSocketClass } = {},
): void {
  describe(`through ${name}`, () => {
    beforeEach((context) => {
      if (missing !== undefined) context.skip(missing);
    });
    let relay: Promise<TestRelay> | undefined;
    afterAll(async () => {
      await (await relay)?.[Symbol.asyncDispose]();
    });
    describeHostNetwork("wsproxy", {
      make: async () => {
        relay ??= start();
        return makeWsproxyHostNetwork((await relay).url, webSocket);
      },
      peers: new PeerKit(),
      childModule: fileURLToPath(new URL("make-wsproxy-host-network.ts", import.meta.url)),
      capabilities,
    });
  });
}

const ourRelay = (): Promise<TestRelay> => listenRelay({ allow: ["127.0.0.0/8", "::1"] });

describeRelay("our relay", ourRelay, WSPROXY);

const missing = websockifyMissing();
describeRelay(
  "websockify, in a page",
  startWebsockify,
  {
    ...WSPROXY,
    backpressure: "this relay keeps what its target does not take",
    wholeDownloads: "this relay forgets what its client has not taken yet when its target closes",
    flowControl: "a page's WebSocket cannot be stopped",
  },
  { webSocket: pageWebSocket, ...(missing !== undefined && { missing }) },
);
