/**
 * What is particular to Ethernet over a WebSocket: connections that end and come again.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { SendStatus } from "../../src/backend.js";
import {
  WebSocketBackend,
  type WebSocketBackendOptions,
} from "../../src/backends/web-socket-backend.js";
import { ErrorCode } from "../../src/errors.js";
import type { WebSocketClass } from "../../src/web-socket.js";
import { frameIndex, numberedFrame } from "../support/frames.js";
import { waitUntil } from "../support/wait-until.js";
import { PushedFrames, range, settle } from "../net-backend-contract/harness.js";

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

/** A network that can be switched off and on again at the same port. */
class Network implements AsyncDisposable {
  readonly arrived: number[] = [];
  readonly peers: WebSocket[] = [];
  port = 0;
  #server: WebSocketServer | undefined;

  constructor() {
    open.push(this);
  }

  async start(): Promise<this> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: this.port });
    this.#server = server;
    await once(server, "listening");
    ({ port: this.port } = server.address() as AddressInfo);
    server.on("connection", (socket) => {
      this.peers.push(socket);
      socket.on("message", (data: Buffer) => this.arrived.push(frameIndex(data) ?? NaN));
    });
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    for (const client of server.clients) client.terminate();
    server.close();
    await once(server, "close");
  }

  get url(): string {
    return `ws://127.0.0.1:${String(this.port)}/secret/l2/room`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function openBackend(
  network: Network,
  options: Partial<WebSocketBackendOptions> = {},
): WebSocketBackend {
  const backend = new WebSocketBackend({
    url: network.url,
    webSocket: WebSocket as unknown as WebSocketClass,
    minReconnectMs: 10,
    maxReconnectMs: 50,
    ...options,
  });
  open.push(backend);
  return backend;
}

describe("a WebSocket that is not there", () => {
  it("keeps the latest 128 frames for when it is, in order, and counts those it dropped", async () => {
    const network = await new Network().start();
    await network.stop();
    const backend = openBackend(network);
    for (let index = 0; index < 200; index++) {
      expect(backend.send(numberedFrame(index))).toBe(SendStatus.taken);
    }
    expect(backend.statistics()).toMatchObject({ framesFromGuest: 200, droppedFromGuest: 72 });
    await network.start();
    await waitUntil("they arrive", () => network.arrived.length >= 128);
    expect(network.arrived).toEqual(range(72, 200));
  });

  it("is tried again until it is closed, and then not any more", async () => {
    const network = await new Network().start();
    const events: [boolean, string][] = [];
    const backend = openBackend(network, {
      onConnection: (connected, reason) => events.push([connected, reason]),
    });
    const pushed = new PushedFrames();
    backend.callbacks = pushed.callbacks;
    backend.enableReceive();
    await waitUntil("it is connected", () => network.peers.length === 1 && backend.isConnected);
    await network.stop();
    await waitUntil("it has tried again", () => events.length >= 3);
    expect(events.slice(0, 2)).toEqual([
      [true, "connected"],
      [false, "closed with code 1006"],
    ]);
    await network.start();
    await waitUntil("it is connected again", () => network.peers.length === 2);
    const [, second] = network.peers;
    second?.send(numberedFrame(5));
    await waitUntil("a frame comes", () => pushed.frames.length === 1);
    expect(frameIndex(pushed.frames[0] as Uint8Array)).toBe(5);
    await backend.close();
    expect(backend.isConnected).toBe(false);
    const { length } = events;
    await settle();
    expect(events).toHaveLength(length);
    expect(network.peers).toHaveLength(2);
  });

  it("tells a guest that waits that it need not, when it ends", async () => {
    const network = await new Network().start();
    const backend = openBackend(network, { maxBufferedBytes: 64 * 1024 });
    await waitUntil("it is connected", () => network.peers.length === 1 && backend.isConnected);
    network.peers[0]?.pause();
    let writable = 0;
    backend.callbacks = { onFrames: () => undefined, onWritable: () => writable++ };
    const frame = numberedFrame(1, { length: 1514 });
    // The kernel takes some megabytes first.
    await waitUntil("it is full", () => {
      for (let i = 0; i < 1000; i++) {
        if (backend.send(frame) === SendStatus.mustWait) return true;
      }
      return false;
    });
    await settle();
    expect(writable).toBe(0);
    await network.stop();
    await waitUntil("it is told", () => writable === 1);
    expect(backend.send(frame)).toBe(SendStatus.taken);
  });
});

describe("messages that are no frames", () => {
  it("are counted as dropped, or ignored where they are text", async () => {
    const network = await new Network().start();
    const backend = openBackend(network);
    const pushed = new PushedFrames();
    backend.callbacks = pushed.callbacks;
    backend.enableReceive();
    await waitUntil("it is connected", () => network.peers.length === 1 && backend.isConnected);
    const [peer] = network.peers;
    peer?.send("text");
    peer?.send(new Uint8Array(13));
    peer?.send(new Uint8Array(0));
    peer?.send(new Uint8Array(300_000));
    peer?.send(numberedFrame(3));
    await waitUntil("the frame comes", () => pushed.frames.length === 1);
    expect(backend.statistics()).toMatchObject({ framesToGuest: 1, droppedToGuest: 3 });
  });
});

describe("its name", () => {
  it("does not tell the path, in which there may be a secret", async () => {
    const network = await new Network().start();
    expect(openBackend(network).name).toBe(`ws://127.0.0.1:${String(network.port)}`);
  });

  it.each(["http://x/", "ws//x", "", "ws://x/#y", "wss:"])("is refused: %j", (url) => {
    expect(
      () => new WebSocketBackend({ url, webSocket: WebSocket as unknown as WebSocketClass }),
    ).toThrow(expect.objectContaining({ code: ErrorCode.invalidConfiguration }));
  });
});
