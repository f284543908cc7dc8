/** The implementation that the contract's suite tests, on a wsproxy relay of choice. */
import { WebSocket } from "ws";
import {
  createWsproxyHostNetwork,
  type WsproxyHostNetwork,
} from "../../src/browser/wsproxy-host-network.js";
import type { WebSocketClass } from "../../src/browser/web-socket.js";
import { nodeWebSocket } from "./make-wisp-host-network.js";

/** As a browser has it: reading cannot be stopped, and there is no end without order. */
class PageWebSocket extends WebSocket {
  override pause = undefined as never;
  override resume = undefined as never;
  override terminate = undefined as never;
}

/** Port 1 of loopback is nobody's: a network without a relay that answers. */
export default function makeWsproxyHostNetwork(
  url = "ws://127.0.0.1:1/",
  webSocket = nodeWebSocket,
): WsproxyHostNetwork {
  return createWsproxyHostNetwork({ url, webSocket });
}

export const pageWebSocket = PageWebSocket as unknown as WebSocketClass;
