/**
 * Ports that a relay opens for its clients: what it opens, for whom, and what clients do wrong.
 */
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ipEndpoint } from "../../src/address.js";
import { ErrorCode } from "../../src/errors.js";
import { ListenPolicy, type ForwardOptions } from "../../src/relay/listen-policy.js";
import { listenRelay, type ListeningRelay, type ListenRelayOptions } from "../../src/relay.js";
import { encodeStreamControl, WispExtensionId } from "../../src/wisp-extensions.js";
import {
  BindResult,
  decodePeerDatagram,
  encodeIncoming,
  encodeListen,
  encodeListenToken,
  encodePeerDatagram,
  LISTEN_EXTENSION_ID,
  ListenType,
  type ListenPacket,
} from "../../src/wisp-listen.js";
import { encodeClose, encodeConnect, encodeData, WispKind, WispReason } from "../../src/wisp.js";
import { howItEnds, readBytes } from "../host-network-contract/peer-kit.js";
import { waitUntil } from "../support/wait-until.js";
import { WispClient } from "./wisp-client.js";

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

const ALL_PORTS: ForwardOptions = { ports: ["1024-65535"] };

async function start(options: ListenRelayOptions = {}): Promise<ListeningRelay> {
  const relay = await listenRelay({ forwards: ALL_PORTS, ...options });
  open.push(relay);
  return relay;
}

/** A client that uses the extension, with this token. */
async function listening(relay: ListeningRelay, token = ""): Promise<WispClient> {
  const client = new WispClient(relay.url, {
    version: 2,
    extensions: [
      { id: LISTEN_EXTENSION_ID, metadata: encodeListenToken(token) },
      { id: WispExtensionId.streamControl, metadata: encodeStreamControl(262_144) },
    ],
  });
  open.push(client);
  return client.ready();
}

interface Asked {
  readonly kind?: WispKind;
  readonly address?: string;
  readonly port?: number;
}

/** Asks for a port; answers what became of it. */
async function ask(
  client: WispClient,
  id: number,
  { kind = WispKind.tcp, address = "127.0.0.1", port = 0 }: Asked = {},
): Promise<ListenPacket & { type: "bound" }> {
  client.send(encodeListen(id, kind, { address, port, ipv6Only: true }));
  return client.listenPacket("bound", (packet) => packet.id === id);
}

/** A port that somebody else has. */
async function takenPort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  open.push({
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  });
  return (server.address() as AddressInfo).port;
}

function connectTo(port: number): Socket {
  const socket = connectTcp({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  open.push({
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await Promise.resolve();
    },
  });
  return socket;
}

describe("a relay that opens ports", () => {
  it("gives a free one of its own, and who connects as streams with the peer's address", async () => {
    const client = await listening(await start());
    const bound = await ask(client, 7);
    expect(bound).toMatchObject({ result: BindResult.bound, text: "127.0.0.1" });
    const peer = connectTo(bound.port);
    await once(peer, "connect");
    const incoming = await client.listenPacket("incoming", ({ listener }) => listener === 7);
    expect(incoming).toMatchObject({ address: "127.0.0.1", port: peer.localPort });
    expect(incoming.id).toBeGreaterThanOrEqual(0x8000_0000);
    peer.write("from outside");
    expect((await client.data(incoming.id, 12)).toString()).toBe("from outside");
    client.send(encodeData(incoming.id, Buffer.from("from inside")));
    expect((await readBytes(peer, 11)).toString()).toBe("from inside");
    client.send(encodeClose(incoming.id, WispReason.networkError));
    expect(await howItEnds(peer)).toBe("ECONNRESET");
  });

  it("opens a UDP port whose datagrams name their peer, and answers him", async () => {
    const client = await listening(await start());
    const { port } = await ask(client, 7, { kind: WispKind.udp });
    const socket = createSocket("udp4");
    try {
      const answered = once(socket, "message");
      socket.send("question", port, "127.0.0.1");
      const datagram = decodePeerDatagram(await client.data(7, 15));
      if (!datagram) throw new Error("no datagram");
      expect(Buffer.from(datagram.payload).toString()).toBe("question");
      client.send(encodeData(7, encodePeerDatagram(datagram.peer, Buffer.from("answer"))));
      expect(String((await answered)[0])).toBe("answer");
    } finally {
      socket.close();
    }
  });

  it("lets a UDP port write to nobody whom its policy forbids and who has not written", async () => {
    const client = await listening(await start());
    await ask(client, 7, { kind: WispKind.udp });
    const socket = createSocket("udp4");
    try {
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
      const messages: string[] = [];
      socket.on("message", (bytes) => messages.push(bytes.toString()));
      const peer = ipEndpoint("127.0.0.1", socket.address().port);
      client.send(encodeData(7, encodePeerDatagram(peer, Buffer.from("unasked"))));
      // What came behind it is through: the datagram is not under way any more.
      const { port } = await ask(client, 8, { kind: WispKind.udp });
      socket.send("hello", port, "127.0.0.1");
      await client.data(8, 12);
      client.send(encodeData(8, encodePeerDatagram(peer, Buffer.from("asked"))));
      await waitUntil("the answer", () => messages.length > 0);
      expect(messages).toEqual(["asked"]);
    } finally {
      socket.close();
    }
  });

  it("gives a port back when its listener is closed, and when the client is gone", async () => {
    const relay = await start();
    const client = await listening(relay);
    const { port } = await ask(client, 7);
    const peer = connectTo(port);
    const incoming = await client.listenPacket("incoming", () => true);
    client.send(encodeClose(7, WispReason.voluntary));
    expect(await ask(client, 8, { port })).toMatchObject({ result: BindResult.bound, port });
    client.send(encodeData(incoming.id, Buffer.from("still here")));
    expect((await readBytes(peer, 10)).toString()).toBe("still here");
    await client[Symbol.asyncDispose]();
    await waitUntil("the port is free", async () => {
      const socket = connectTo(port);
      return (await howItEnds(socket)) === "ECONNREFUSED";
    });
    expect(await ask(await listening(relay), 1, { port })).toMatchObject({ port });
  });

  it("closes its ports when it ends, before streams have ended", async () => {
    const relay = await start();
    const client = await listening(relay);
    const { port } = await ask(client, 7);
    connectTo(port);
    await client.listenPacket("incoming", () => true);
    const closing = relay.relay.close(60_000);
    expect(await client.closeReason(7)).toBe(WispReason.voluntary);
    expect(await howItEnds(connectTo(port))).toBe("ECONNREFUSED");
    expect(await ask(client, 8)).toMatchObject({ result: BindResult.tooMany });
    await client[Symbol.asyncDispose]();
    await closing;
  });
});

describe("a relay refuses to open", () => {
  const PORTS = { ports: ["20000-20010", "20020"] };

  it.each([
    ["a port outside of its ranges", { port: 20_011 }, BindResult.forbidden, "20000-20010"],
    ["another address", { address: "0.0.0.1", port: 20_020 }, BindResult.forbidden, "127.0.0.1"],
    ["at a name", { address: "localhost", port: 20_020 }, BindResult.forbidden, "localhost"],
    ["another kind of port", { kind: 3 as WispKind, port: 20_020 }, BindResult.other, "kind 3"],
  ])("%s", async (_what, asked, result, said) => {
    const client = await listening(await start({ forwards: PORTS }));
    const bound = await ask(client, 7, asked);
    expect(bound).toMatchObject({ result, port: 0 });
    expect(bound.text).toContain(said);
  });

  it("a port that is taken", async () => {
    const client = await listening(await start());
    const port = await takenPort();
    const bound = await ask(client, 7, { port });
    expect(bound).toMatchObject({ result: BindResult.addressInUse });
    expect(bound.text).toContain("EADDRINUSE");
    // The id is free again.
    expect(await ask(client, 7).catch(() => undefined)).toBeDefined();
  });

  it("any free port where all of its ports are taken", async () => {
    const port = await takenPort();
    const client = await listening(await start({ forwards: { ports: [String(port)] } }));
    expect(await ask(client, 7)).toMatchObject({ result: BindResult.addressInUse });
  });

  it("anything without its token, and with a wrong one", async () => {
    const relay = await start({ forwards: { ...ALL_PORTS, tokens: ["right", "other"] } });
    for (const token of ["", "wrong", "right "]) {
      const bound = await ask(await listening(relay, token), 7);
      expect(bound).toMatchObject({ result: BindResult.badToken });
    }
    expect(await ask(await listening(relay, "right"), 7)).toMatchObject({ result: 0 });
  });

  it("more ports than a client may have, or all together", async () => {
    const limits = { maxListenersPerConnection: 2, maxListeners: 3 };
    const relay = await start({ limits });
    const [first, second] = [await listening(relay), await listening(relay)];
    const results: number[] = [];
    for (const client of [first, second]) {
      for (const id of [1, 2, 3]) results.push((await ask(client, id)).result);
    }
    const { bound, tooMany } = BindResult;
    expect(results).toEqual([bound, bound, tooMany, bound, tooMany, tooMany]);
    first.send(encodeClose(1, WispReason.voluntary));
    expect(await ask(first, 4)).toMatchObject({ result: bound });
  });

  it("streams beyond its bound: who connects then is reset", async () => {
    const client = await listening(await start({ limits: { maxStreams: 2 } }));
    const { port } = await ask(client, 7);
    connectTo(port);
    await client.listenPacket("incoming", () => true);
    expect(await howItEnds(connectTo(port))).toBe("ECONNRESET");
  });

  it("anything, by itself: the extension is not offered, and its packets end the connection", async () => {
    const relay = await listenRelay();
    open.push(relay);
    const client = await listening(relay);
    const info = await client.packet(({ type }) => type === "info");
    const ids = info.type === "info" ? info.extensions.map(({ id }) => id) : [];
    expect(ids).not.toContain(LISTEN_EXTENSION_ID);
    client.send(encodeListen(7, WispKind.tcp, { address: "127.0.0.1", port: 0, ipv6Only: false }));
    expect(await client.closeReason(0)).toBe(WispReason.invalid);
  });
});

describe("a client ends its own connection with", () => {
  const listen = encodeListen(7, WispKind.tcp, { address: "127.0.0.1", port: 0, ipv6Only: true });
  const notText = Uint8Array.of(...listen.subarray(0, 9), 0xff, 0xfe);

  it.each([
    ["half a LISTEN", [listen.subarray(0, 7)]],
    ["an address that is not UTF-8", [notText]],
    ["BOUND, which is the server's", [Uint8Array.of(ListenType.bound, 7, 0, 0, 0, 0, 0, 0)]],
    ["INCOMING", [encodeIncoming(7, 1, { address: "127.0.0.1", port: 1 })]],
    ["LISTEN twice with one id", [listen, listen]],
    ["LISTEN for the connection itself", [Uint8Array.of(listen[0] ?? 0, 0, 0, 0, 0, 1, 0, 0, 0)]],
    ["CONNECT with a listener's id", [listen, encodeConnect(7, WispKind.tcp, "127.0.0.1", 1)]],
  ])("%s", async (_what, packets) => {
    const client = await listening(await start());
    for (const packet of packets) client.send(packet);
    expect(await client.closeReason(0)).toBe(WispReason.invalid);
    await waitUntil("the WebSocket is closed", () => client.closeCode === 1008);
  });

  it("nothing that only means nothing: DATA and CONTINUE for a listener, datagrams that are none", async () => {
    const client = await listening(await start());
    await ask(client, 7);
    await ask(client, 8, { kind: WispKind.udp });
    for (const id of [7, 8]) {
      for (const payload of [[], [4], [5, 1, 2, 3, 4, 5, 6, 7], [16, 1, 2], [4, 1, 2, 3, 4, 0]]) {
        client.send(encodeData(id, Uint8Array.from(payload)));
      }
    }
    // A peer of the other IP version.
    client.send(encodeData(8, encodePeerDatagram(ipEndpoint("::1", 9), Buffer.from("x"))));
    expect(await ask(client, 9)).toMatchObject({ result: BindResult.bound });
  });
});

describe("the policy of ports", () => {
  it.each([
    [{ ports: ["80-79"] }, "80-79"],
    [{ ports: ["0"] }, '"0"'],
    [{ ports: ["65536"] }, "65536"],
    [{ ports: ["http"] }, "http"],
    [{ ports: ["80"], addresses: ["localhost"] }, "localhost"],
  ])("refuses to be made of %j", (options, said) => {
    expect(() => new ListenPolicy(options)).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(said) as string,
      }),
    );
  });

  it("puts who asks for every address on loopback, or where it is told", () => {
    const byDefault = new ListenPolicy({ ports: ["80"] });
    expect(byDefault.judge("0.0.0.0", 80)).toEqual({ address: "127.0.0.1", ports: [80] });
    expect(byDefault.judge("::", 80)).toEqual({ address: "::1", ports: [80] });
    expect(byDefault.judge("", 80)).toEqual({ address: "127.0.0.1", ports: [80] });
    expect(byDefault.judge("192.0.2.1", 80)).toHaveProperty("rule");
    const everywhere = new ListenPolicy({ ports: ["80"], addresses: ["0.0.0.0"] });
    expect(everywhere.judge("0.0.0.0", 80)).toEqual({ address: "0.0.0.0", ports: [80] });
    expect(everywhere.judge("192.0.2.1", 80)).toEqual({ address: "192.0.2.1", ports: [80] });
    expect(everywhere.judge("::", 80)).toHaveProperty("rule");
  });

  it("tries each of its ports for who wants any, and never more than are of use", () => {
    const few = new ListenPolicy({ ports: ["80", "90-92"] }).judge("", 0);
    expect("ports" in few && [...few.ports].sort()).toEqual([80, 90, 91, 92]);
    const many = new ListenPolicy(ALL_PORTS).judge("", 0);
    expect("ports" in many && new Set(many.ports).size).toBe(64);
  });
});
