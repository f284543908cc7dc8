/** The implementation that the contract's suite tests, on a relay of choice. */
import { WebSocket } from "ws";
import {
  createWispHostNetwork,
  type WispHostNetwork,
} from "../../src/browser/wisp-host-network.js";
import type { WebSocketClass } from "../../src/browser/web-socket.js";

/** Node 20 has no WebSocket of its own. */
export const nodeWebSocket = WebSocket as unknown as WebSocketClass;

/** Port 1 of loopback is nobody's: a network without a relay that answers. */
export default function makeWispHostNetwork(url = "ws://127.0.0.1:1/"): WispHostNetwork {
  return createWispHostNetwork({ relays: [url], webSocket: nodeWebSocket });
}
