/**
 * Ethernet over a WebSocket: a backend like any other, with a server of the package ws as its network.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { WebSocketBackend } from "../../src/backends/web-socket-backend.js";
import type { WebSocketClass } from "../../src/web-socket.js";
import { frameIndex, networkFrameMaker, numberedFrame } from "../support/frames.js";
import { waitUntil } from "../support/wait-until.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("Ethernet over a WebSocket", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const arrived: number[] = [];
  let peer: WebSocket | undefined;
  server.on("connection", (socket) => {
    peer = socket;
    socket.on("message", (data: Buffer) => arrived.push(frameIndex(data) ?? NaN));
  });
  const { port } = server.address() as AddressInfo;
  let messages = 0;
  /** Counts what has been handed to the backend. */
  class CountingSocket extends WebSocket {
    constructor(url: string) {
      super(url);
      // Behind the backend's own listener, which is set in the same turn as the socket is made.
      queueMicrotask(() => this.addEventListener("message", () => messages++));
    }
  }
  const backend = new WebSocketBackend({
    url: `ws://127.0.0.1:${String(port)}/`,
    webSocket: CountingSocket as unknown as WebSocketClass,
  });
  await waitUntil("it is connected", () => backend.isConnected && peer !== undefined);
  const makeFrames = networkFrameMaker();
  let provoked = 0;
  return {
    backend,
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count) => {
      const frames = makeFrames(count);
      provoked += count;
      for (const frame of frames) peer?.send(frame);
      await waitUntil("they have come", () => messages === provoked);
      return frames;
    },
    close: async () => {
      for (const client of server.clients) client.terminate();
      server.close();
      await once(server, "close");
    },
  };
});
