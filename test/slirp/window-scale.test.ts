/**
 * Window scaling (RFC 7323, 2), which libslirp does not have by itself: more than 64 KiB under way, to and from the guest.
 */
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { ipAddress, ipEndpoint, type IpEndpoint, type IpFamily } from "../../src/address.js";
import { createSlirp } from "../../src/node.js";
import { readBytes } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { addSequence } from "../support/packet.js";
import type { RawConnection, RawConnectionOptions } from "../support/raw-connection.js";
import {
  closeWorldsAfterEach,
  forward,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const SHIFT = 7;
const LARGE_WINDOW = 1024 * 1024;
const UNSCALED_LIMIT = 65_535;

async function openConnection(
  world: World,
  options: RawConnectionOptions,
  family: IpFamily = 4,
): Promise<{ connection: RawConnection; peer: Socket }> {
  const server = await world.peers.tcpServer(LOOPBACK[family]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await world.guest.connect(GATEWAY[family], port, options).opened();
  return { connection, peer: await server.connection() };
}

/** Bytes under way when the guest acknowledges nothing, once no more come. */
async function unacknowledged(connection: RawConnection): Promise<number> {
  let before = -1;
  while (connection.receivedBytes !== before) {
    before = connection.receivedBytes;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return before;
}

/** Lets the stack find out how much may be under way, and then how much it puts there. */
async function mostUnderWay({ connection, peer }: Awaited<ReturnType<typeof openConnection>>) {
  const first = 400_000;
  peer.write(testBytes(2_000_000));
  await connection.untilReceived(first);
  connection.acknowledge = "never";
  const from = connection.receivedBytes;
  const acknowledged = connection.rcvNxt;
  connection.acknowledgeNow();
  expect(connection.rcvNxt).toBe(acknowledged);
  return (await unacknowledged(connection)) - from;
}

describe("a guest that offers window scaling", () => {
  it.each([4, 6] as const)("has more than 64 KiB under way, over IPv%i", async (family) => {
    const world = await openWorld();
    const options = { window: LARGE_WINDOW, windowShift: SHIFT };
    const connected = await openConnection(world, options, family);
    expect(connected.connection.peerWindowShift).toBeGreaterThan(0);
    expect(await mostUnderWay(connected)).toBeGreaterThan(UNSCALED_LIMIT);
  });

  it("never gets more than its window, however small", async () => {
    const world = await openWorld();
    // What the stack sends beyond the window is a fault, which fails the test.
    const connected = await openConnection(world, { window: 20_000, windowShift: SHIFT });
    expect(await mostUnderWay(connected)).toBeLessThanOrEqual(20_000);
  });

  it("is told a window of more than 64 KiB", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, { windowShift: SHIFT });
    const data = testBytes(500_000);
    const received = readBytes(peer, data.length);
    let largest = 0;
    world.guest.onPacket = () => (largest = Math.max(largest, connection.peerWindow));
    await connection.send(data);
    expect(sha256(await received)).toBe(sha256(data));
    expect(largest).toBeGreaterThan(UNSCALED_LIMIT);
  });

  it("may fill the window that it was told at once, and nothing is lost", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, { windowShift: SHIFT });
    const first = testBytes(100);
    const [all, greeting] = [testBytes(400_000), readBytes(peer, first.length)];
    await connection.send(first);
    await greeting;
    const data = all.subarray(0, connection.peerWindow);
    expect(data.length).toBeGreaterThan(UNSCALED_LIMIT);
    const received = readBytes(peer, data.length);
    connection.sendNow(data);
    expect(sha256(await received)).toBe(sha256(data));
  });

  it("is told a smaller window where it has more than a thousand sockets", async () => {
    const world = await openWorld();
    const few = await openConnection(world, { windowShift: SHIFT });
    expect(few.connection.peerWindowShift).toBe(3);
    const { endpoint } = await world.peers.udpSocket(LOOPBACK[4]);
    for (let port = 2000; port < 3100; port += 100) {
      world.guest.together(() => {
        for (let i = 0; i < 100; i++) {
          world.guest.sendDatagram(port + i, GATEWAY[4], endpoint.port, Buffer.from("?"));
        }
      });
      await new Promise((resolve) => setImmediate(resolve));
    }
    const many = await openConnection(world, { windowShift: SHIFT });
    expect(many.connection.peerWindowShift).toBe(2);
    const data = testBytes(500_000);
    const received = readBytes(many.peer, data.length);
    await many.connection.send(data);
    expect(sha256(await received)).toBe(sha256(data));
  });

  it("gets everything although segments are lost", async () => {
    const world = await openWorld();
    const options = { window: LARGE_WINDOW, windowShift: SHIFT, acknowledge: "segment" } as const;
    const { connection, peer } = await openConnection(world, options);
    world.guest.loseEvery(97);
    const data = testBytes(1_000_000);
    peer.write(data);
    await connection.untilReceived(data.length, 60_000);
    expect(connection.receivedDigest()).toBe(sha256(data));
    expect(connection.retransmissions + connection.outOfOrder).toBeGreaterThan(0);
  });

  it("gets everything from rings at the end of memory, however their data lies in them", async () => {
    const world = await openWorld();
    const data = testBytes(700_000);
    const step = 30_000;
    for (let round = 0; round < 20; round++) {
      // Each ring is the last thing in linear memory when it is made, and stays.
      const options = { window: LARGE_WINDOW, windowShift: SHIFT };
      const { connection, peer } = await openConnection(world, options);
      const start = connection.rcvNxt;
      peer.write(data);
      await connection.untilReceived(10 * step);
      // Acknowledges behind what came, so that what is under way goes over the ring's end, too.
      connection.acknowledge = "never";
      for (let told = 10 * step; told < data.length; told += step) {
        await connection.untilReceived(Math.min(told + 2 * step, data.length));
        connection.segment({ ack: addSequence(start, told) });
      }
      connection.acknowledgeNow();
      expect(connection.receivedDigest()).toBe(sha256(data));
    }
  });

  it("keeps its scale through a saved state", async () => {
    const world = await openWorld();
    const channel = { address: ipAddress("10.0.2.100"), port: 4000, onData: () => undefined };
    const first = world.slirp.openGuestChannel(channel);
    const options = { window: LARGE_WINDOW, windowShift: SHIFT };
    const connection = await world.guest.connect("10.0.2.100", 4000, options).opened();
    first.send(testBytes(1000));
    await connection.untilReceived(1000);
    const saved = world.slirp.saveState();
    await world.slirp.close();
    await using slirp = await createSlirp({ hostNetwork: world.network });
    const second = slirp.openGuestChannel(channel);
    slirp.loadState(saved);
    world.guest.moveTo(slirp);
    world.guest.arp();
    // With a window of 1 MiB >> 7 taken as it stands, 8 KiB at a time would go out.
    connection.acknowledge = "never";
    const sent = second.send(testBytes(14_000));
    await connection.untilReceived(1000 + sent);
    expect(sent).toBe(14_000);
  });
});

describe("a guest that does not", () => {
  it("gets no option, and no more than 64 KiB under way", async () => {
    const world = await openWorld();
    const connected = await openConnection(world, {});
    expect(connected.connection.peerWindowShift).toBeUndefined();
    expect(await mostUnderWay(connected)).toBeLessThanOrEqual(UNSCALED_LIMIT);
  });
});

describe("a forward", () => {
  it.each([
    ["offers it, and uses it where the guest answers so", SHIFT],
    ["offers it, and does without where the guest does not", undefined],
  ])("%s", async (_what, windowShift) => {
    const world = await openWorld();
    world.guest.arp();
    let incoming: RawConnection | undefined;
    world.guest.listen(80, (connection) => {
      connection.windowShift = windowShift;
      if (windowShift !== undefined) connection.window = LARGE_WINDOW;
      incoming = connection;
    });
    const { host } = await world.slirp.addForward(forward("tcp:127.0.0.1:0-10.0.2.15:80"));
    const peer = await world.peers.connect(ipEndpoint("127.0.0.1", (host as IpEndpoint).port));
    const connection = await world.guest.until(() => incoming, "the forward's SYN");
    expect(connection.peerWindowShift).toBeGreaterThan(0);
    const underWay = await mostUnderWay({ connection, peer });
    if (windowShift === undefined) expect(underWay).toBeLessThanOrEqual(UNSCALED_LIMIT);
    else expect(underWay).toBeGreaterThan(UNSCALED_LIMIT);
  });
});
