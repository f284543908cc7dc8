/**
 * A reader that stops, on either side: what waits is bounded, and nothing is lost.
 */
import type { Socket } from "node:net";
import { describe, expect, it, type TestContext } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { MAX_BUFFERED_BYTES } from "../../src/host-network.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { kernelQueuedBytes } from "../support/kernel-queues.js";
import type { RawConnection } from "../support/raw-connection.js";
import type { WatchedStream } from "../support/watched-sockets.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

/** More than the system's own buffers take (some 10 MiB on Linux, at most). */
const MUCH = 24 * 1024 * 1024;

/** libslirp's ring for one direction of a connection (TCP_SNDSPACE), which is inside the module. */
const RING_BYTES = 128 * 1024;

interface Connected {
  readonly connection: RawConnection;
  readonly peer: Socket;
  readonly stream: WatchedStream;
}

async function openConnection(world: World, window: number): Promise<Connected> {
  const server = await world.peers.tcpServer(LOOPBACK[4]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await world.guest.connect(GATEWAY[4], port, { window }).opened();
  const peer = await server.connection();
  const stream = world.network.streams.at(-1);
  if (!stream) throw new Error("the stack has opened no stream");
  return { connection, peer, stream };
}

/** What of the connection the kernel holds. Skips the test where the system does not tell. */
function inKernel(peer: Socket, context: TestContext): number {
  const bytes = kernelQueuedBytes(peer.localPort ?? NaN, peer.remotePort ?? NaN);
  return bytes ?? context.skip("the system has no /proc/net/tcp");
}

/** Waits until a count has not changed for a good while. */
async function untilStill(count: () => number): Promise<number> {
  let last = -1;
  for (let quiet = 0; quiet < 10;) {
    const now = count();
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  return last;
}

describe("backpressure", () => {
  it("a guest without window: what the host sends waits, bounded, and comes when there is one", async (context) => {
    const world = await openWorld();
    const { connection, peer, stream } = await openConnection(world, 0);
    const data = testBytes(MUCH);
    peer.end(data);
    const inModule = await untilStill(() => stream.receivedBytes);
    expect(inModule, "the module has read no more than its ring holds").toBeLessThanOrEqual(
      RING_BYTES,
    );
    const handedOver = peer.bytesWritten - peer.writableLength;
    const outside = handedOver - inKernel(peer, context) - inModule;
    expect(outside).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
    expect(connection.receivedBytes).toBe(0);
    connection.acknowledgeNow(65_535);
    await world.guest.until(() => connection.finReceived, "everything");
    expect(connection.receivedBytes).toBe(MUCH);
    expect(connection.receivedDigest()).toBe(sha256(data));
    expect(world.slirp.statistics().droppedToGuest, "no frame was wasted").toBe(0);
  });

  it("a guest that closes its window again and again loses nothing", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, 20_000);
    const data = testBytes(2_000_000, 3);
    peer.end(data);
    for (let round = 1; !connection.finReceived && round < 2000; round++) {
      const before = connection.receivedBytes;
      connection.window = 0;
      await world.guest.until(
        () => connection.receivedBytes > before || connection.finReceived,
        "more",
      );
      connection.acknowledgeNow(round % 3 === 0 ? 50_000 : 3_000 + round);
    }
    await world.guest.until(() => connection.finReceived, "the end");
    expect(connection.receivedDigest()).toBe(sha256(data));
  });

  it("a host that does not read: the guest's window closes, and all arrives when it reads", async (context) => {
    const world = await openWorld();
    const { connection, peer, stream } = await openConnection(world, 65_535);
    const data = testBytes(MUCH, 2);
    const sending = connection.send(data, 60_000);
    await world.guest.until(() => connection.peerWindow === 0, "the window to close");
    await untilStill(() => stream.sentBytes);
    expect(connection.peerWindow).toBe(0);
    const outside = stream.sentBytes - inKernel(peer, context);
    expect(outside).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
    expect(stream.sentBytes, "the host was given less than there is").toBeLessThan(MUCH);
    const received: Buffer[] = [];
    peer.on("data", (piece: Buffer) => received.push(piece)).resume();
    await sending;
    await world.guest.until(() => stream.sentBytes === MUCH, "the last byte to go out");
    connection.fin();
    await new Promise((resolve) => peer.once("end", resolve));
    expect(sha256(Buffer.concat(received))).toBe(sha256(data));
  });

  it("a connection that waits does not hold up another", async () => {
    const world = await openWorld();
    const stuck = await openConnection(world, 0);
    stuck.peer.write(testBytes(1_000_000));
    const other = await openConnection(world, 65_535);
    const data = testBytes(3_000_000, 5);
    other.peer.end(data);
    await world.guest.until(() => other.connection.finReceived, "the other's data");
    expect(other.connection.receivedDigest()).toBe(sha256(data));
    expect(stuck.connection.receivedBytes).toBe(0);
  });

  it("a NIC that stops receiving loses nothing of TCP", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, 65_535);
    const data = testBytes(3_000_000, 7);
    peer.end(data);
    for (let round = 0; round < 5; round++) {
      await connection.untilReceived((round + 1) * 300_000);
      world.slirp.disableReceive();
      await new Promise((resolve) => setTimeout(resolve, 30));
      world.slirp.enableReceive();
    }
    await world.guest.until(() => connection.finReceived, "the end");
    expect(connection.receivedDigest()).toBe(sha256(data));
  });
});
