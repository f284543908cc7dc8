/**
 * What a relay's clients get in a second, and for how long nothing may happen.
 */
import { describe, expect, it } from "vitest";
import { TokenBucket } from "../../src/relay/token-bucket.js";
import { encodeConnect, encodeData, WispKind, WispReason } from "../../src/wisp.js";
import { howItEnds } from "../host-network-contract/peer-kit.js";
import { waitUntil } from "../support/wait-until.js";
import { LOOPBACK_RULES, RelayKit } from "./relay-kit.js";
import { WispClient } from "./wisp-client.js";

const kit = new RelayKit();

describe("a token bucket", () => {
  it("lets a second's worth go at once, and then as much as comes in", () => {
    let nowMs = 0;
    const bucket = new TokenBucket(1000, () => nowMs);
    expect(bucket.take(1000)).toBe(0);
    expect(bucket.take(500)).toBe(500);
    expect(bucket.tryTake()).toBe(false);
    nowMs += 250;
    expect(bucket.take(0)).toBe(250);
    nowMs += 251;
    expect(bucket.tryTake()).toBe(true);
    expect(bucket.tryTake()).toBe(false);
    nowMs += 60_000;
    expect(bucket.take(1000), "no more than a second's worth is kept").toBe(0);
    expect(bucket.take(1)).toBe(1);
  });

  it("without a bound never says wait", () => {
    const bucket = new TokenBucket(Infinity);
    expect(bucket.take(1e15)).toBe(0);
    expect(bucket.tryTake()).toBe(true);
  });
});

describe("bytes in a second", () => {
  const RATE = 1_000_000;
  /** More than the first second's worth: at least two seconds at this rate. */
  const BYTES = 3_000_000;

  async function connect(url: string): Promise<WispClient> {
    return kit.closeLater(new WispClient(url)).ready();
  }

  it.each([["bytesPerSecondPerClient"], ["bytesPerSecond"]])(
    "are bounded both ways, and nothing is lost: %s",
    async (limit) => {
      const { url } = await kit.start({ ...LOOPBACK_RULES, limits: { [limit]: RATE } });
      const server = await kit.peers.tcpServer();
      if (server.endpoint.family === "unix") throw new Error("not TCP");
      const client = await connect(url);
      client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", server.endpoint.port));
      const peer = await server.connection();

      let began = performance.now();
      peer.write(Buffer.alloc(BYTES, 1));
      await client.data(1, BYTES);
      expect(performance.now() - began).toBeGreaterThan(1000);

      began = performance.now();
      let received = 0;
      peer.on("data", (data: Buffer) => (received += data.length)).resume();
      const piece = encodeData(1, new Uint8Array(50_000));
      for (let sent = 0; sent < BYTES; sent += 50_000) client.send(piece);
      await waitUntil("all arrives", () => received === BYTES);
      expect(performance.now() - began).toBeGreaterThan(1000);
    },
  );

  it("of one client address are those of all its WebSockets", async () => {
    const { url } = await kit.start({
      ...LOOPBACK_RULES,
      limits: { bytesPerSecondPerClient: RATE },
    });
    const server = await kit.peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const { port } = server.endpoint;
    const began = performance.now();
    await Promise.all(
      [1, 2, 3].map(async () => {
        const client = await connect(url);
        client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", port));
        (await server.connection()).end(Buffer.alloc(BYTES / 3, 1));
        await client.data(1, BYTES / 3);
      }),
    );
    expect(performance.now() - began).toBeGreaterThan(1000);
  });
});

describe("what is idle for long ends", () => {
  it("a TCP connection, with its reason", async () => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, limits: { tcpIdleTimeoutMs: 300 } });
    const server = await kit.peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const client = await kit.closeLater(new WispClient(url)).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", server.endpoint.port));
    const ended = howItEnds(await server.connection());
    expect(await client.closeReason(1)).toBe(WispReason.transferTimeout);
    expect(await ended).toBe("ECONNRESET");
  });

  it("a WebSocket, though it answers pings; one that is used stays", async () => {
    const { url, relay } = await kit.start({
      ...LOOPBACK_RULES,
      limits: { idleTimeoutMs: 500, pingIntervalMs: 50 },
    });
    const idle = await kit.closeLater(new WispClient(url)).ready();
    const used = await kit.closeLater(new WispClient(url)).ready();
    const timer = setInterval(() => used.send(encodeData(9, new Uint8Array(1))), 20);
    await waitUntil("it is closed", () => idle.closeCode === 1000);
    expect(used.closeCode).toBeUndefined();
    expect(relay.connections).toBe(1);
    clearInterval(timer);
    await waitUntil("the other one too", () => used.closeCode === 1000);
  });
});
