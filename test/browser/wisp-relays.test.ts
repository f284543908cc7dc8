/**
 * What a host network does when its relays fail, refuse, or do not keep to the protocol. Relays that do wrong are scripted: a real one
 * cannot be made to.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import {
  createWispHostNetwork,
  type WispHostNetworkOptions,
} from "../../src/browser/wisp-host-network.js";
import type { RelayStatus } from "../../src/browser/wisp-relays.js";
import { ErrorCode } from "../../src/errors.js";
import { Errno, type HostNetwork } from "../../src/host-network.js";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { listenRelay, type ListenRelayOptions } from "../../src/relay/listen-relay.js";
import {
  decodePacket,
  encodeClose,
  encodeContinue,
  encodeData,
  WispReason,
  type WispPacket,
} from "../../src/wisp.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { opened, StreamUser } from "../host-network-contract/stack-side.js";
import { testBytes } from "../host-network-contract/test-data.js";
import { startWispJsWithPassword } from "../support/relays/foreign-relays.js";
import { waitUntil } from "../support/wait-until.js";
import { nodeWebSocket } from "./make-wisp-host-network.js";

const peers = new PeerKit();
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await peers.close();
});

/** A network and what it says of its relays. */
function makeNetwork(options: WispHostNetworkOptions): {
  network: HostNetwork;
  statuses: RelayStatus[];
} {
  const statuses: RelayStatus[] = [];
  const network = createWispHostNetwork({
    webSocket: nodeWebSocket,
    onStatus: (status) => statuses.push(status),
    ...options,
  });
  closing.push(() => network.close());
  return { network, statuses };
}

async function startRelay(options: ListenRelayOptions = {}): ReturnType<typeof listenRelay> {
  const listening = await listenRelay({ allow: ["127.0.0.0/8"], ...options });
  closing.push(() => listening.close(0));
  return listening;
}

/** A relay in the test's hands; answers its URL. */
async function scriptedRelay(
  onPacket: (socket: WebSocket, packet: WispPacket) => void,
): Promise<string> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  closing.push(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  server.on("connection", (socket) => {
    socket.send(encodeContinue(0, 4));
    socket.on("message", (message: Buffer) => {
      onPacket(socket, decodePacket(message));
    });
  });
  return `ws://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
}

const connect = (network: HostNetwork, remote: IpEndpoint): StreamUser =>
  new StreamUser(opened(network.connectStream(remote)));

const SOMEWHERE = ipEndpoint("192.0.2.1", 80);

describe("a relay that is lost", () => {
  it("resets the streams that it had, and the next stream opens it again", async () => {
    const first = await startRelay();
    const { network, statuses } = makeNetwork({ relays: [first.url] });
    const server = await peers.tcpServer();
    const remote = server.endpoint as IpEndpoint;
    const stream = connect(network, remote);
    expect(await stream.connected()).toBe(0);
    await server.connection();
    const { port } = first.server.address() as AddressInfo;
    await first.close(0);
    await waitUntil("the stream has failed", () => stream.takeError() === Errno.ECONNRESET);
    await startRelay({ port });
    const next = connect(network, remote);
    expect(await next.connected()).toBe(0);
    const peer = await server.connection();
    peer.end("again");
    expect((await next.receiveBytes()).toString()).toBe("again");
    expect(statuses.map(({ state }) => state)).toContain("idle");
  });

  it("is waited for by a new stream, which then gets through", async () => {
    const gone = await startRelay();
    const { port } = gone.server.address() as AddressInfo;
    await gone.close(0);
    const { network, statuses } = makeNetwork({ relays: [`ws://127.0.0.1:${String(port)}/`] });
    const server = await peers.tcpServer();
    const stream = connect(network, server.endpoint as IpEndpoint);
    await waitUntil("it was tried in vain", () =>
      statuses.some(({ state }) => state === "waiting"),
    );
    await startRelay({ port });
    expect(await stream.connected()).toBe(0);
  });

  it("is replaced by the next of the list", async () => {
    const alive = await startRelay();
    const { network, statuses } = makeNetwork({ relays: ["ws://127.0.0.1:1/", alive.url] });
    const server = await peers.tcpServer();
    expect(await connect(network, server.endpoint as IpEndpoint).connected()).toBe(0);
    expect(statuses.at(-1)).toMatchObject({ state: "open", url: alive.url });
  });

  it("and does not come back is a time-out for those who wait", async () => {
    const { network } = makeNetwork({ relays: ["ws://127.0.0.1:1/"], connectTimeoutMs: 100 });
    expect(await connect(network, SOMEWHERE).connected()).toBe(Errno.ETIMEDOUT);
  });

  it("keeps what datagrams were sent meanwhile, for a while", async () => {
    const relay = await startRelay();
    const { network } = makeNetwork({ relays: [relay.url] });
    const { socket, endpoint } = await peers.udpSocket();
    const datagram = opened(network.openDatagram(4));
    expect(datagram.sendTo(Buffer.from("early"), endpoint)).toBe(5);
    const [bytes] = (await once(socket, "message")) as [Buffer];
    expect(bytes.toString()).toBe("early");
  });
});

describe("credentials", () => {
  it("are given where they are asked for", async () => {
    const relay = await startRelay({ users: { ann: "secret" } });
    const url = relay.url;
    const { network } = makeNetwork({ relays: [{ url, user: "ann", password: "secret" }] });
    const server = await peers.tcpServer();
    expect(await connect(network, server.endpoint as IpEndpoint).connected()).toBe(0);
  });

  it.each([
    ["that are wrong", { user: "ann", password: "guess" }, "user or password is wrong"],
    ["that are not there", {}, "asks for a password"],
  ])("%s are told, and nobody waits", async (_what, credentials, message) => {
    const relay = await startRelay({ users: { ann: "secret" } });
    const { network, statuses } = makeNetwork({ relays: [{ url: relay.url, ...credentials }] });
    expect(await connect(network, SOMEWHERE).connected()).toBe(Errno.EACCES);
    expect(statuses.find(({ state }) => state === "waiting")?.message).toContain(message);
  });
});

describe("a password that the relay reads in draft 5's form only", () => {
  const known = { username: "annette", password: "a very long secret indeed" };

  it.each(["badPassword", "nothing"] as const)(
    "lets in who has it, at the second try, where a refusal says %s; afterwards at once",
    async (says) => {
      const relay = await startWispJsWithPassword(known, says);
      closing.push(() => relay[Symbol.asyncDispose]());
      const { password } = known;
      const { network, statuses } = makeNetwork({
        relays: [{ url: relay.url, user: "annette", password }],
      });
      const server = await peers.tcpServer();
      expect(await connect(network, server.endpoint as IpEndpoint).connected()).toBe(0);
      expect(relay.refused).toBe(1);
      relay.hangUp();
      await waitUntil("the relay is lost", () => statuses.at(-1)?.state === "idle");
      expect(await connect(network, server.endpoint as IpEndpoint).connected()).toBe(0);
      expect(relay.refused).toBe(1);
    },
  );

  it("and that is wrong is tried in both forms, once each, and nobody waits", async () => {
    const relay = await startWispJsWithPassword(known, "badPassword");
    closing.push(() => relay[Symbol.asyncDispose]());
    const { network, statuses } = makeNetwork({
      relays: [{ url: relay.url, user: "annette", password: "another long secret indeed" }],
    });
    expect(await connect(network, SOMEWHERE).connected()).toBe(Errno.EACCES);
    expect(relay.refused).toBe(2);
    expect(statuses.at(-1)?.message).toContain("user or password is wrong");
  });
});

describe("credits", () => {
  it("are never overrun, and what waits for them goes in few messages", async () => {
    const lengths: number[] = [];
    let socket: WebSocket | undefined;
    const url = await scriptedRelay((from, packet) => {
      socket = from;
      if (packet.type === "data") lengths.push(packet.payload.length);
    });
    const { network } = makeNetwork({ relays: [url] });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    for (let i = 0; i < 60; i++) stream.trySend(testBytes(1000));
    await waitUntil("the first went out", () => lengths.length === 4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(lengths).toEqual([1000, 1000, 1000, 1000]);
    socket?.send(encodeContinue(1, 4));
    await waitUntil("the others went out", () => lengths.reduce((a, b) => a + b, 0) === 60_000);
    expect(lengths.slice(4)).toEqual([56_000]);
  });
});

describe("a port that is refused, where the relay confirms none", () => {
  it("is refused by a page too that was busy when it was told", async () => {
    const url = await scriptedRelay((socket, packet) => {
      if (packet.type !== "connect") return;
      socket.send(encodeClose(packet.streamId, WispReason.refused));
      // The client's loop is this one: its timers are due before it hears the relay.
      const untilMs = performance.now() + 200;
      while (performance.now() < untilMs);
    });
    const { network } = makeNetwork({ relays: [url] });
    expect(await connect(network, SOMEWHERE).connected()).toBe(Errno.ECONNREFUSED);
  });
});

describe("a guest's FIN, where the relay knows none", () => {
  it("waits for the answer, and becomes CLOSE when nothing comes any more", async () => {
    const events: string[] = [];
    const url = await scriptedRelay((socket, packet) => {
      if (packet.streamId === 0) return;
      events.push(packet.type);
      if (packet.type === "data") {
        setTimeout(() => {
          socket.send(encodeData(packet.streamId, Buffer.from("answer")));
        }, 200);
      }
    });
    const { network } = makeNetwork({ relays: [url] });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    stream.trySend(Buffer.from("question"));
    stream.shutdownWrite();
    expect((await stream.receiveBytes()).toString()).toBe("answer");
    await expect.poll(() => events).toEqual(["connect", "data", "close"]);
  });
});

describe("a relay that floods", () => {
  it("has its WebSocket not read, where that can be done, and nothing is lost", async () => {
    const total = 8_000_000;
    let sent = false;
    const url = await scriptedRelay((socket, packet) => {
      if (packet.type !== "connect" || sent) return;
      sent = true;
      for (let at = 0; at < total; at += 50_000) {
        socket.send(encodeData(packet.streamId, testBytes(50_000, at)));
      }
    });
    const maxReceivedBytes = 1_000_000;
    const { network } = makeNetwork({ relays: [url], maxReceivedBytes });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const target = Buffer.alloc(total);
    let held = 0;
    for (let count = 1; count > 0; held += Math.max(count, 0)) {
      count = stream.tryReceive(target.subarray(held));
    }
    expect(held).toBeLessThan(4 * maxReceivedBytes);
    while (held < total) held += Math.max(await stream.receive(target.subarray(held)), 0);
    for (let at = 0; at < total; at += 50_000) {
      expect(target.subarray(at, at + 50_000).equals(testBytes(50_000, at))).toBe(true);
    }
  });

  it("of nonsense does no harm", async () => {
    const url = await scriptedRelay((socket, packet) => {
      if (packet.type !== "connect") return;
      for (const bytes of [
        [],
        [1],
        [2, 9, 9, 9, 9],
        [3, 1, 0, 0, 0],
        [4, 1],
        [5, 0, 0, 0, 0],
        [0x73, 1],
        [0xff, 1, 0, 0, 0],
      ])
        socket.send(Uint8Array.from(bytes));
      socket.send("text");
      socket.send(encodeData(packet.streamId, Buffer.from("fine")));
    });
    const { network } = makeNetwork({ relays: [url] });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    expect((await stream.receiveBytes(4)).toString()).toBe("fine");
  });
});

describe("relays that cannot be", () => {
  it.each([["nowhere"], ["ftp://relay.test/"], ["http//relay"]])("are refused: %s", (url) => {
    expect(() => createWispHostNetwork({ relays: [url], webSocket: nodeWebSocket })).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(`relay "${url}"`) as string,
      }),
    );
  });

  it("none at all is refused, and so is a place without WebSockets", () => {
    const code = (options: WispHostNetworkOptions): unknown => {
      try {
        return createWispHostNetwork(options).name;
      } catch (error) {
        return (error as { code?: unknown }).code;
      }
    };
    expect(code({ relays: [], webSocket: nodeWebSocket })).toBe(ErrorCode.invalidConfiguration);
    const hasGlobal = "WebSocket" in globalThis;
    expect(code({ relays: ["ws://relay.test/"] })).toBe(
      hasGlobal ? "wisp" : ErrorCode.missingRequirement,
    );
  });

  it("wisp: and wisps: are other names, and the path gets its slash", async () => {
    const relay = await startRelay({ tokens: ["abc"] });
    const url = relay.url.replace("ws:", "wisp:").replace(/\/$/, "");
    const { network } = makeNetwork({ relays: [url] });
    const server = await peers.tcpServer();
    expect(await connect(network, server.endpoint as IpEndpoint).connected()).toBe(0);
  });
});
