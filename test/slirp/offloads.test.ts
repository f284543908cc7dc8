/**
 * Long frames and unfinished checksums between a NIC that has virtio-net's offloads and the stack.
 */
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { type IpEndpoint, type IpFamily } from "../../src/address.js";
import type { NetBackend } from "../../src/backend.js";
import { ErrorCode, type SlirpError } from "../../src/errors.js";
import type { Slirp } from "../../src/slirp/slirp.js";
import { GsoType, VirtioNetFeature } from "../../src/virtio-net.js";
import { readBytes, readToEnd } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { OffloadingNic } from "../support/offloading-nic.js";
import type { RawConnection, RawConnectionOptions } from "../support/raw-connection.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const { checksum, hostTso4, hostTso6, hostUfo, hostUso, hostEcn } = VirtioNetFeature;
const { guestChecksum, guestTso4, guestTso6 } = VirtioNetFeature;
const FROM_GUEST = checksum | hostTso4 | hostTso6 | hostUfo | hostUso | hostEcn;
const EVERYTHING = FROM_GUEST | guestChecksum | guestTso4 | guestTso6;

interface Connected {
  readonly world: World;
  readonly nic: OffloadingNic;
  readonly connection: RawConnection;
  readonly peer: Socket;
}

async function openConnection(
  features: bigint,
  family: IpFamily,
  options: RawConnectionOptions & { readonly mtuBytes?: number } = {},
): Promise<Connected> {
  let nic: OffloadingNic | undefined;
  const mtuBytes = options.mtuBytes ?? 1500;
  const world = await openWorld({
    slirp: { mtuBytes },
    guest: { mtuBytes },
    plugIn: (slirp) => (nic = new OffloadingNic(slirp, features)),
  });
  const server = await world.peers.tcpServer(LOOPBACK[family]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await world.guest.connect(GATEWAY[family], port, options).opened();
  return { world, nic: nic!, connection, peer: await server.connection() };
}

const scaled = { window: 1024 * 1024, windowShift: 7 } as const;

for (const family of [4, 6] as const) {
  describe(`TCP over IPv${String(family)}`, () => {
    it("from a guest comes in long frames, and whole", async () => {
      const { connection, nic, peer, world } = await openConnection(EVERYTHING, family, scaled);
      const data = testBytes(2_000_000);
      const received = readBytes(peer, data.length);
      await connection.send(data);
      expect(sha256(await received)).toBe(sha256(data));
      const type = family === 4 ? GsoType.tcp4 : GsoType.tcp6;
      expect(nic.longFromGuest.length).toBeGreaterThan(20);
      expect(nic.longFromGuest.every(({ gsoType }) => gsoType === type)).toBe(true);
      const { framesFromGuest, droppedFromGuest } = world.slirp.statistics();
      expect(framesFromGuest).toBeLessThan(data.length / 1500 / 4);
      expect(droppedFromGuest).toBe(0);
    });

    it("goes to a guest in long frames of its segment size", async () => {
      const { connection, nic, peer, world } = await openConnection(EVERYTHING, family, {
        ...scaled,
        mssBytes: 1234,
      });
      const data = testBytes(3_000_000);
      peer.write(data);
      await connection.untilReceived(data.length);
      expect(connection.receivedDigest()).toBe(sha256(data));
      expect(connection.largestPayloadBytes).toBe(1234);
      const sizes = new Set(nic.longToGuest.map(({ segmentBytes }) => segmentBytes));
      expect([...sizes]).toEqual([1234]);
      expect(nic.refused).toBe(0);
      expect(world.slirp.statistics().framesToGuest).toBeLessThan(data.length / 1234 / 4);
    });

    it("is cut for a guest whose NIC takes no long frames", async () => {
      for (const features of [0n, FROM_GUEST, guestChecksum]) {
        const { connection, nic, peer } = await openConnection(features, family, scaled);
        const data = testBytes(1_000_001);
        peer.write(data);
        await connection.untilReceived(data.length);
        expect(connection.receivedDigest()).toBe(sha256(data));
        expect(connection.largestPayloadBytes).toBe(family === 4 ? 1460 : 1440);
        expect(nic.longToGuest).toEqual([]);
        expect(nic.unfinishedToGuest > 0).toBe(features === guestChecksum);
      }
    });

    it("loses nothing when segments are lost", async () => {
      const options = { ...scaled, acknowledge: "segment" } as const;
      const { connection, peer, world } = await openConnection(EVERYTHING, family, options);
      world.guest.loseEvery(97);
      const data = testBytes(1_000_000);
      peer.write(data);
      await connection.untilReceived(data.length, 60_000);
      expect(connection.receivedDigest()).toBe(sha256(data));
      expect(connection.retransmissions + connection.outOfOrder).toBeGreaterThan(0);
    });

    it("keeps to a window that is smaller than a long frame", async () => {
      for (const window of [1000, 5000, 20_000]) {
        // What is sent beyond the window is a fault, which fails the test.
        const { connection, peer } = await openConnection(EVERYTHING, family, { window });
        const data = testBytes(200_000);
        peer.write(data);
        await connection.untilReceived(data.length, 60_000);
        expect(connection.receivedDigest()).toBe(sha256(data));
      }
    });

    it("ends in order behind a long frame", async () => {
      const { connection, peer, world } = await openConnection(EVERYTHING, family, scaled);
      const data = testBytes(150_000);
      peer.end(data);
      await connection.untilReceived(data.length);
      expect(connection.receivedDigest()).toBe(sha256(data));
      await world.guest.until(() => connection.finReceived, "FIN");
      connection.fin();
      expect(await readToEnd(peer)).toHaveLength(0);
    });

    it("fills frames of the largest MTU", async () => {
      const mtuBytes = 65_520;
      const { connection, peer } = await openConnection(0n, family, { ...scaled, mtuBytes });
      const data = testBytes(3_000_000);
      peer.write(data);
      await connection.untilReceived(data.length);
      expect(connection.receivedDigest()).toBe(sha256(data));
      expect(connection.largestPayloadBytes).toBe(mtuBytes - (family === 4 ? 40 : 60));
    });
  });
}

describe("a frame that waits for the guest's address", () => {
  it("is cut to the guest's segments all the same", async () => {
    for (const features of [0n, EVERYTHING]) {
      const { connection, peer, world } = await openConnection(features, 4, scaled);
      const first = testBytes(500_000);
      peer.write(first);
      await connection.untilReceived(first.length);
      // The stack remembers 16 neighbours: others push the guest out.
      world.guest.together(() => {
        for (let i = 0; i < 20; i++) forgetGuest(world, i);
      });
      let asked = 0;
      world.guest.onPacket = (packet) => (asked += Number(packet.kind === "arp"));
      const second = testBytes(100_000, 2);
      peer.write(second);
      await connection.untilReceived(first.length + second.length);
      expect(asked, "the stack had to ask").toBeGreaterThan(0);
      expect(connection.receivedDigest()).toBe(sha256(Buffer.concat([first, second])));
    }
  });
});

/** Someone else says that he is there (an ARP request for his own address). */
function forgetGuest(world: World, index: number): void {
  const frame = new Uint8Array(60);
  const address = [10, 0, 2, 100 + index];
  frame.set([
    255,
    255,
    255,
    255,
    255,
    255,
    0x52,
    0x54,
    0,
    9,
    9,
    index,
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1,
  ]);
  frame.set([0x52, 0x54, 0, 9, 9, index, ...address], 22);
  frame.set(address, 38);
  world.guest.sendFrame(frame);
}

describe("capabilities", () => {
  it("need a header, and long frames the checksum", async () => {
    const { slirp } = await openWorld();
    const refused = (features: bigint, length: 0 | 10 | 12): ErrorCode | undefined => {
      try {
        slirp.setCapabilities(features, length);
        return undefined;
      } catch (error) {
        return (error as SlirpError).code;
      }
    };
    expect(slirp.capabilities(0)).toBe(0n);
    expect(refused(checksum, 0)).toBe(ErrorCode.unsupportedCapability);
    expect(refused(hostTso4, 12)).toBe(ErrorCode.unsupportedCapability);
    expect(refused(guestTso6 | checksum, 10)).toBe(ErrorCode.unsupportedCapability);
    expect(refused(slirp.capabilities(10), 10)).toBeUndefined();
  });

  it("may change while a connection runs", async () => {
    const { world, nic, connection, peer } = await openConnection(EVERYTHING, 4, scaled);
    const data = testBytes(400_000);
    peer.write(data);
    await connection.untilReceived(data.length);
    world.slirp.setCapabilities(FROM_GUEST, 12);
    const before = nic.longToGuest.length;
    peer.write(data);
    await connection.untilReceived(2 * data.length);
    expect(nic.longToGuest.length).toBe(before);
    expect(connection.receivedDigest()).toBe(sha256(Buffer.concat([data, data])));
  });
});

describe("an inbound connection", () => {
  it("has long frames of the segment size in the guest's SYN-ACK", async () => {
    let nic: OffloadingNic | undefined;
    const plugIn = (slirp: Slirp): NetBackend => (nic = new OffloadingNic(slirp, EVERYTHING));
    const world = await openWorld({ plugIn });
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-:80");
    let incoming: RawConnection | undefined;
    world.guest.listen(80, (connection) => (incoming = connection));
    world.guest.arp();
    const data = testBytes(500_000);
    const client = await world.peers.connect(host);
    client.write(data);
    const connection = await world.guest.until(() => incoming, "a connection");
    await connection.untilReceived(data.length);
    expect(connection.receivedDigest()).toBe(sha256(data));
    expect(connection.largestPayloadBytes).toBe(1460);
    expect(nic!.longToGuest.length).toBeGreaterThan(0);
  });
});
