/**
 * A client that we did not write, that of wisp-js, against our relay.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { client as wispJs, extensions } from "@mercuryworkshop/wisp-js/client";
import { describe, expect, it } from "vitest";
import { WispReason } from "../../src/wisp.js";
import { waitUntil } from "../support/wait-until.js";
import { LOOPBACK_RULES, RelayKit } from "./relay-kit.js";

const kit = new RelayKit();

type Connection = InstanceType<typeof wispJs.ClientConnection>;
type Options = ConstructorParameters<typeof wispJs.ClientConnection>[1];

async function connect(url: string, options: Options): Promise<Connection> {
  const connection = new wispJs.ClientConnection(url, options);
  kit.closeLater({
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => (connection.onclose = resolve));
      connection.close();
      await closed;
    },
  });
  await new Promise<void>((resolve) => (connection.onopen = resolve));
  return connection;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe.each([1, 2] as const)("wisp-js' client, version %i", (version) => {
  it("carries bytes both ways, unchanged", async () => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, motd: "hello" });
    const server = await kit.peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const connection = await connect(url, { wisp_version: version });
    expect(connection.wisp_version).toBe(version);
    if (version === 2) expect(connection.server_motd).toBe("hello");
    const stream = connection.create_stream("127.0.0.1", server.endpoint.port);
    const received: Buffer[] = [];
    stream.onmessage = (data) => received.push(Buffer.from(data));
    const closed = new Promise<number>((resolve) => (stream.onclose = resolve));
    const peer = await server.connection();

    const up = randomBytes(3_000_000);
    for (let at = 0; at < up.length; at += 10_000) stream.send(up.subarray(at, at + 10_000));
    const heard: Buffer[] = [];
    let heardBytes = 0;
    peer.on("data", (data: Buffer) => (heardBytes += heard.push(data) && data.length)).resume();
    await waitUntil("all has gone up", () => heardBytes === up.length);
    expect(sha256(Buffer.concat(heard))).toBe(sha256(up));

    const down = randomBytes(5_000_000);
    peer.end(down);
    expect(await closed).toBe(WispReason.voluntary);
    expect(sha256(Buffer.concat(received))).toBe(sha256(down));
  });

  it("carries datagrams", async () => {
    const { url } = await kit.start();
    const { socket, endpoint } = await kit.peers.udpSocket();
    socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
    const connection = await connect(url, { wisp_version: version });
    const stream = connection.create_stream("127.0.0.1", endpoint.port, "udp");
    const answer = new Promise<Uint8Array>((resolve) => (stream.onmessage = resolve));
    stream.send(Buffer.from("ping"));
    expect(Buffer.from(await answer).toString()).toBe("ping");
  });

  it("is told why a stream does not come about", async () => {
    const { url } = await kit.start();
    const closed = await kit.peers.closedTcpEndpoint();
    const connection = await connect(url, { wisp_version: version });
    const reasonFor = (host: string, port: number): Promise<number> => {
      const stream = connection.create_stream(host, port);
      return new Promise((resolve) => (stream.onclose = resolve));
    };
    expect(await reasonFor("127.0.0.1", closed.port)).toBe(WispReason.refused);
    expect(await reasonFor("10.0.0.1", 80)).toBe(WispReason.blocked);
  });

  it("ends a stream, and the target is told", async () => {
    const { url } = await kit.start();
    const server = await kit.peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const connection = await connect(url, { wisp_version: version });
    const stream = connection.create_stream("127.0.0.1", server.endpoint.port);
    const peer = (await server.connection()).resume();
    stream.close(WispReason.voluntary);
    await once(peer, "end");
  });
});

describe("wisp-js' client with a password", () => {
  const { UDPExtension, PasswordAuthExtension } = extensions;
  const credentials = (password: string): Options => ({
    wisp_version: 2,
    wisp_extensions: [
      new UDPExtension({ client_config: {} }),
      new PasswordAuthExtension({ client_config: { username: "ann", password } }),
    ],
  });

  it("is let in, and is not with another one", async () => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, users: { ann: "pass word" } });
    expect((await connect(url, credentials("pass word"))).udp_enabled).toBe(true);
    const stranger = new wispJs.ClientConnection(url, credentials("guess"));
    await new Promise<void>((resolve) => (stranger.onclose = resolve));
  });
});
