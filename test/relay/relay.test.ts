/**
 * The relay against clients that keep to the protocol, and clients that do not.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { listenRelay, type ListeningRelay, type ListenRelayOptions } from "../../src/relay.js";
import { encodePassword, encodeStreamControl, WispExtensionId } from "../../src/wisp-extensions.js";
import {
  encodeClose,
  encodeConnect,
  encodeContinue,
  encodeData,
  encodeInfo,
  WispKind,
  WispReason,
} from "../../src/wisp.js";
import { openFileLimit } from "../support/open-files.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { waitUntil } from "../support/wait-until.js";
import { WispClient, type WispClientOptions } from "./wisp-client.js";

const open: AsyncDisposable[] = [];
const peers = new PeerKit();

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
  await peers.close();
});

/** Loopback is open, which it is not by itself. */
const LOOPBACK = { allow: ["127.0.0.0/8", "::1"] };

async function start(options: ListenRelayOptions = LOOPBACK): Promise<ListeningRelay> {
  const listening = await listenRelay(options);
  open.push(listening);
  return listening;
}

function connect(url: string, options?: WispClientOptions): WispClient {
  const client = new WispClient(url, options);
  open.push(client);
  return client;
}

/** A server that says back what it is told. */
async function echoPort(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    socket.on("error", () => undefined);
    sockets.add(socket);
  });
  open.push({
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  });
  return (server.address() as AddressInfo).port;
}

/** The same in a process with open files of its own. */
async function echoProcessPort(): Promise<number> {
  const program = `const server = require("node:net").createServer((socket) => socket.on("error", () => {}).pipe(socket));
    server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  open.push({
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return Number(line.toString());
}

describe("streams", () => {
  it("carry bytes over TCP, data behind CONNECT at once", async () => {
    const port = await echoPort();
    const client = await connect((await start()).url).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    client.send(encodeData(1, Buffer.from("hello")));
    expect((await client.data(1, 5)).toString()).toBe("hello");
  });

  it("carry datagrams over UDP", async () => {
    const { socket, endpoint } = await peers.udpSocket();
    socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
    const client = await connect((await start()).url).ready();
    client.send(encodeConnect(1, WispKind.udp, "127.0.0.1", endpoint.port));
    client.send(encodeData(1, Buffer.from("ping")));
    expect((await client.data(1, 4)).toString()).toBe("ping");
  });

  it("take a name, and an IPv6 address with or without brackets", async () => {
    const server = await peers.tcpServer("::1");
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const { port } = server.endpoint;
    const client = await connect((await start()).url).ready();
    client.send(encodeConnect(1, WispKind.tcp, "::1", port));
    await server.connection();
    client.send(encodeConnect(2, WispKind.tcp, "[::1]", port));
    await server.connection();
    const named = await echoPort();
    client.send(encodeConnect(3, WispKind.tcp, "localhost", named));
    client.send(encodeData(3, Buffer.from("x")));
    // Where localhost is ::1 first, nobody listens there: refused is an answer too.
    await waitUntil("an answer", () => client.received.has(3) || client.packets.length > 1);
  });

  it("tell why they did not come about", async () => {
    const closed = await peers.closedTcpEndpoint();
    const client = await connect((await start()).url).ready();
    const tries: [host: string, port: number, kind: number, reason: number][] = [
      ["127.0.0.1", closed.port, 1, WispReason.refused],
      ["10.0.0.1", 80, 1, WispReason.blocked],
      ["169.254.169.254", 80, 1, WispReason.blocked],
      ["127.0.0.1", 0, 1, WispReason.invalid],
      ["127.0.0.1", 25, 1, WispReason.blocked],
      ["host/path", 80, 1, WispReason.invalid],
      ["127.0.0.1", 80, 3, WispReason.invalid],
      ["no-such-name.invalid", 80, 1, WispReason.unreachable],
    ];
    for (const [index, [host, port, kind, reason]] of tries.entries()) {
      client.send(encodeConnect(index + 1, kind as WispKind, host, port));
      expect(await client.closeReason(index + 1), `${host}:${String(port)}`).toBe(reason);
    }
  });

  it("are half-closed with stream control", async () => {
    const port = await echoPort();
    const extensions = [
      { id: WispExtensionId.streamControl, metadata: encodeStreamControl(262_144) },
    ];
    const client = await connect((await start()).url, { version: 2, extensions }).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    client.send(encodeData(1, Buffer.from("last words")));
    client.send(encodeData(1, new Uint8Array()));
    expect(await client.closeReason(1)).toBe(WispReason.voluntary);
    expect(client.received.get(1)?.toString()).toBe("last words");
  });

  it("send no more than the window with stream control", async () => {
    const server = await peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const window = 262_144;
    const extensions = [
      { id: WispExtensionId.streamControl, metadata: encodeStreamControl(window) },
    ];
    const client = await connect((await start()).url, { version: 2, extensions }).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", server.endpoint.port));
    const peer = await server.connection();
    peer.write(Buffer.alloc(4_000_000));
    const of = (): number => client.received.get(1)?.length ?? 0;
    await waitUntil("the first bytes", () => of() > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(of()).toBeLessThanOrEqual(window);
    while (of() < 4_000_000) {
      const before = of();
      client.send(encodeContinue(1, window / 2));
      await waitUntil("more", () => of() > before);
    }
  });

  it("open confirmation tells when one is connected", async () => {
    const port = await echoPort();
    const extensions = [{ id: WispExtensionId.openConfirmation, metadata: new Uint8Array() }];
    const client = await connect((await start()).url, { version: 2, extensions }).ready();
    client.send(encodeConnect(7, WispKind.tcp, "127.0.0.1", port));
    await client.packet((packet) => packet.type === "continue" && packet.streamId === 7);
  });
});

describe("who may come", () => {
  /** The HTTP status of an upgrade that is refused. */
  async function refusal(url: string, headers: Record<string, string> = {}): Promise<number> {
    const socket = new WebSocket(url, { headers });
    socket.on("error", () => undefined);
    const [, response] = (await once(socket, "unexpected-response")) as [
      unknown,
      { statusCode: number },
    ];
    return response.statusCode;
  }

  it("is told by the origin: pages on loopback, or those that are named", async () => {
    const { url } = await start();
    expect(await refusal(url, { Origin: "https://evil.test" })).toBe(403);
    expect(await refusal(url, { Origin: "https://localhost.evil.test" })).toBe(403);
    await connect(url, { headers: { Origin: "http://localhost:5173" } }).ready();
    const named = await start({ ...LOOPBACK, origins: ["https://good.test"] });
    await connect(named.url, { headers: { Origin: "https://good.test" } }).ready();
    expect(await refusal(named.url, { Origin: "http://localhost:5173" })).toBe(403);
  });

  it("is told by a token in the path", async () => {
    const { url } = await start({ ...LOOPBACK, tokens: ["s3cret"] });
    expect(url).toMatch(/\/s3cret\/$/);
    await connect(url).ready();
    expect(await refusal(url.replace("s3cret", "guess"))).toBe(401);
    expect(await refusal(url.replace("/s3cret", ""))).toBe(401);
  });

  it("is told by a password, of either draft", async () => {
    const { url } = await start({ ...LOOPBACK, users: { ann: "pass word" } });
    const withPassword = (metadata: Uint8Array): WispClient =>
      connect(url, { version: 2, extensions: [{ id: WispExtensionId.password, metadata }] });
    await withPassword(encodePassword({ user: "ann", password: "pass word" })).ready();
    const draft5 = Buffer.concat([Buffer.from([3, 9, 0]), Buffer.from("annpass word")]);
    await withPassword(draft5).ready();
    const wrong = withPassword(encodePassword({ user: "ann", password: "passw0rd" }));
    expect(await wrong.closeReason(0)).toBe(WispReason.badPassword);
    const without = connect(url, { version: 2, extensions: [] });
    expect(await without.closeReason(0)).toBe(WispReason.credentialsMissing);
    const old = connect(url);
    expect(await old.closeReason(0)).toBe(WispReason.credentialsMissing);
  });

  it("is bounded, by client and in all", async () => {
    const { url } = await start({ ...LOOPBACK, limits: { maxConnectionsPerClient: 2 } });
    await connect(url).ready();
    const second = await connect(url).ready();
    expect(await refusal(url)).toBe(503);
    await second[Symbol.asyncDispose]();
    await waitUntil("there is room again", async () => (await statusOf(url)) === 101);
  });

  async function statusOf(url: string): Promise<number> {
    const client = connect(url);
    return Promise.race([
      client.ready().then(() => 101),
      once(client.socket, "error").then(() => 503),
    ]);
  }
});

describe("a client that does not keep to the protocol", () => {
  it.each([
    ["nothing", []],
    ["half a header", [1, 0, 0]],
    ["CONNECT without a host", [1, 1, 0, 0, 0, 1, 80, 0]],
    ["CONNECT with a NUL", [1, 1, 0, 0, 0, 1, 80, 0, 0x61, 0, 0x62]],
    ["CONNECT that is no UTF-8", [1, 1, 0, 0, 0, 1, 80, 0, 0xff, 0xfe]],
    ["CONTINUE without credits", [3, 1, 0, 0, 0, 1]],
    ["CLOSE without a reason", [4, 1, 0, 0, 0]],
    ["INFO that is cut off", [5, 0, 0, 0, 0, 2, 0, 1, 255, 255, 255, 255]],
    ["a second INFO", [...encodeInfo([])]],
    ["a type that there is not", [0x77, 1, 0, 0, 0]],
  ])("is let go with a reason: %s", async (_what, bytes) => {
    const listening = await start();
    const client = await connect(listening.url).ready();
    client.send(Uint8Array.from(bytes));
    expect(await client.closeReason(0)).toBe(WispReason.invalid);
    await waitUntil("the WebSocket is closed", () => client.closeCode !== undefined);
    expect(client.closeCode).toBe(1008);
    await waitUntil("it is forgotten", () => listening.relay.connections === 0);
  });

  it("is not answered about streams that there are not", async () => {
    const port = await echoPort();
    const client = await connect((await start()).url).ready();
    client.send(encodeData(99, Buffer.from("lost")));
    client.send(encodeContinue(99, 5));
    client.send(encodeClose(99, WispReason.voluntary));
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    client.send(encodeData(1, Buffer.from("fine")));
    expect((await client.data(1, 4)).toString()).toBe("fine");
    expect(client.packets.filter(({ streamId }) => streamId === 99)).toEqual([]);
  });

  it("and takes an id twice loses the connection", async () => {
    const port = await echoPort();
    const client = await connect((await start()).url).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    expect(await client.closeReason(0)).toBe(WispReason.invalid);
  });

  it("and sends before the handshake is let go", async () => {
    const client = connect((await start()).url, { version: 2 });
    await client.packet((packet) => packet.type === "info");
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", 80));
    expect(await client.closeReason(0)).toBe(WispReason.invalid);
  });

  it("and says nothing in the handshake is let go", async () => {
    const { url } = await start({ ...LOOPBACK, limits: { handshakeTimeoutMs: 50 } });
    const client = connect(url, { version: 2 });
    expect(await client.closeReason(0)).toBe(WispReason.incompatibleExtensions);
  });

  it("floods with CONNECT, and gets as many streams as there are to have", async () => {
    const port = await echoPort();
    const { url } = await start({ ...LOOPBACK, limits: { maxStreams: 20 } });
    const client = await connect(url).ready();
    for (let id = 1; id <= 500; id++)
      client.send(encodeConnect(id, WispKind.tcp, "127.0.0.1", port));
    const refused = () => client.packets.filter((packet) => packet.type === "close");
    await waitUntil("the others are refused", () => refused().length === 480);
    expect(new Set(refused().map((packet) => "reason" in packet && packet.reason))).toEqual(
      new Set([WispReason.throttled]),
    );
    client.send(encodeData(1, Buffer.from("still here")));
    expect((await client.data(1, 10)).toString()).toBe("still here");
  });

  it("opens streams faster than it may, and is held back", async () => {
    const { url } = await start({ ...LOOPBACK, limits: { connectsPerSecond: 10 } });
    const closed = await peers.closedTcpEndpoint();
    const client = await connect(url).ready();
    for (let id = 1; id <= 50; id++) {
      client.send(encodeConnect(id, WispKind.tcp, "127.0.0.1", closed.port));
    }
    await waitUntil("all are answered", () => client.packets.length === 51);
    const throttled = client.packets.filter(
      (packet) => packet.type === "close" && packet.reason === WispReason.throttled,
    );
    expect(throttled.length).toBeGreaterThanOrEqual(35);
  });

  it("ignores credits, and is not read while its target takes nothing", async () => {
    const server = await peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const limits = { maxTargetQueueBytes: 2 * 1024 * 1024 };
    const { url } = await start({ ...LOOPBACK, limits });
    const client = await connect(url).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", server.endpoint.port));
    const peer = await server.connection();
    peer.pause();
    const total = 64 * 1024 * 1024;
    const piece = encodeData(1, new Uint8Array(64_000));
    let sent = 0;
    for (; sent < total; sent += 64_000) client.send(piece);
    await new Promise((resolve) => setTimeout(resolve, 500));
    // Most of it never left the client: neither relay nor kernel took it.
    expect(client.socket.bufferedAmount).toBeGreaterThan(total / 4);
    let received = 0;
    peer.on("data", (data: Buffer) => (received += data.length)).resume();
    await waitUntil("all arrives", () => received === sent);
  });

  it("reads slowly, and costs its bound and nobody anything", async () => {
    const server = await peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const port = await echoPort();
    const { url } = await start();
    const slow = await connect(url).ready();
    slow.socket.pause();
    slow.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", server.endpoint.port));
    const peer = await server.connection();
    const data = Buffer.alloc(64 * 1024 * 1024, 7);
    peer.write(data);
    const other = await connect(url).ready();
    other.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    other.send(encodeData(1, Buffer.from("quick")));
    expect((await other.data(1, 5)).toString()).toBe("quick");
    expect(peer.writableLength).toBeGreaterThan(data.length / 4);
  });

  it("is gone without a word: pings find out", async () => {
    const { url, relay } = await start({ ...LOOPBACK, limits: { pingIntervalMs: 50 } });
    const client = await connect(url).ready();
    expect(relay.connections).toBe(1);
    client.socket.pause();
    await waitUntil("it is forgotten", () => relay.connections === 0);
  });
});

describe("many streams", () => {
  it("may be idle, 10,000 of them", async (ctx) => {
    const { softLimit } = await openFileLimit();
    if (softLimit < 11_000) ctx.skip(`only ${String(softLimit)} open files are allowed`);
    const port = await echoProcessPort();
    const limits = { maxStreams: 20_000, connectsPerSecond: 100_000 };
    const client = await connect((await start({ ...LOOPBACK, limits })).url).ready();
    const count = 10_000;
    for (let id = 1; id <= count; id++) {
      client.send(encodeConnect(id, WispKind.tcp, "127.0.0.1", port));
      if (id % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const id of [1, count / 2, count]) {
      client.send(encodeData(id, Buffer.from("awake")));
      expect((await client.data(id, 5)).toString()).toBe("awake");
    }
    expect(client.packets.filter(({ type }) => type === "close")).toEqual([]);
  });
});

describe("wsproxy", () => {
  it("is a WebSocket for a connection, at /host:port", async () => {
    const port = await echoPort();
    const { url } = await start();
    // The subprotocol is what emscripten's sockets ask for.
    const socket = new WebSocket(`${url}some/prefix/127.0.0.1:${String(port)}`, ["binary"]);
    await once(socket, "open");
    expect(socket.protocol).toBe("binary");
    socket.send("through");
    const [answer] = (await once(socket, "message")) as [Buffer];
    expect(answer.toString()).toBe("through");
    socket.close();
    await once(socket, "close");
  });

  it("says why it ends", async () => {
    const closed = await peers.closedTcpEndpoint();
    const { url } = await start();
    for (const [target, code] of [
      [`127.0.0.1:${String(closed.port)}`, 1011],
      ["10.0.0.1:80", 1008],
    ] as const) {
      const socket = new WebSocket(url + target);
      const [ended] = (await once(socket, "close")) as [number];
      expect(ended, target).toBe(code);
    }
  });
});

describe("beside the relay", () => {
  async function get(url: string, path: string): Promise<{ status: number; text: string }> {
    const { port } = new URL(url);
    const asked = request({ host: "127.0.0.1", port, path }).end();
    const [response] = (await once(asked, "response")) as [
      AsyncIterable<Buffer> & { statusCode: number },
    ];
    let text = "";
    for await (const chunk of response) text += chunk.toString();
    return { status: response.statusCode, text };
  }

  it("are health and counters", async () => {
    const { url } = await start();
    await connect(url).ready();
    expect(await get(url, "/healthz")).toEqual({ status: 200, text: "ok\n" });
    expect(await get(url, "/readyz")).toEqual({ status: 200, text: "ready\n" });
    const { text } = await get(url, "/metrics");
    expect(text).toMatch(/^slirp_relay_connections 1$/m);
    expect(text).toMatch(/^slirp_relay_bytes_total\{direction="out"\} 9$/m);
    expect((await get(url, "/")).status).toBe(426);
    expect((await get(url, "//")).status).toBe(426);
  });

  it("draining lets streams end, and takes nobody new", async () => {
    const port = await echoPort();
    const listening = await start();
    const client = await connect(listening.url).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
    client.send(encodeData(1, Buffer.from("under way")));
    await client.data(1, 9);
    const idle = await connect(listening.url).ready();
    const closing = listening.close(5000);
    await waitUntil("who has no stream is let go", () => idle.closeCode === 1001);
    client.send(encodeConnect(2, WispKind.tcp, "127.0.0.1", port));
    expect(await client.closeReason(2)).toBe(WispReason.throttled);
    client.send(encodeData(1, Buffer.from(", still")));
    expect((await client.data(1, 16)).toString()).toBe("under way, still");
    client.socket.close();
    await closing;
  });
});
