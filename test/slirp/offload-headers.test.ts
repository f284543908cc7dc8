/**
 * Headers before the guest's frames: datagrams that come many at once or with an unfinished checksum, and headers that cannot be true.
 */
import { describe, expect, it } from "vitest";
import { ipAddress, type IpAddress, type IpFamily } from "../../src/address.js";
import {
  emptyHeader,
  GSO_ECN,
  GsoType,
  HeaderFlag,
  writeHeader,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { testBytes } from "../host-network-contract/test-data.js";
import { makeIpFrame, makeTcpFrame, makeUdpMessage } from "../support/make-frame.js";
import { Protocol, TcpFlag } from "../support/packet.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

interface Datagrams {
  readonly world: World;
  readonly port: number;
  readonly received: Buffer[];
}

async function openDatagrams(family: IpFamily): Promise<Datagrams> {
  const world = await openWorld({ guest: { headerLength: 12 } });
  world.slirp.setCapabilities(world.slirp.capabilities(12), 12);
  world.guest.arp();
  const { socket, endpoint } = await world.peers.udpSocket(LOOPBACK[family]);
  const received: Buffer[] = [];
  socket.on("message", (bytes) => received.push(bytes));
  return { world, port: endpoint.port, received };
}

function datagramFrame({ world, port }: Datagrams, family: IpFamily, data: Uint8Array): Uint8Array {
  const addresses = world.guest.to(world.guest.addresses[family]);
  const to = { ...addresses, destination: gatewayOf(family) };
  const message = makeUdpMessage(to, { source: 4000, destination: port }, data);
  return makeIpFrame(to, Protocol.udp, message);
}

function gatewayOf(family: IpFamily): IpAddress {
  return ipAddress(GATEWAY[family]);
}

function transportOf(family: IpFamily): number {
  return family === 4 ? 34 : 54;
}

/** Sends a frame with a header of the test's choice, the checksum spoilt where the header says that it is unfinished. */
function sendFramed(world: World, frame: Uint8Array, header: Partial<VirtioNetHeader>): string {
  const framed = new Uint8Array(12 + frame.length);
  framed.set(frame, 12);
  const whole = { ...emptyHeader(), ...header };
  writeHeader(framed, 0, 12, whole);
  if ((whole.flags & HeaderFlag.needsChecksum) !== 0) {
    framed[12 + whole.checksumStart + whole.checksumOffset]! ^= 0x55;
  }
  return world.slirp.send(framed);
}

describe("datagrams from a guest", () => {
  for (const family of [4, 6] as const) {
    const udp = (segmentBytes: number, gsoType: number): Partial<VirtioNetHeader> => ({
      flags: HeaderFlag.needsChecksum,
      gsoType,
      segmentBytes,
      checksumStart: transportOf(family),
      checksumOffset: 6,
    });

    it(`may have an unfinished checksum, over IPv${String(family)}`, async () => {
      const setting = await openDatagrams(family);
      const data = testBytes(1000);
      sendFramed(setting.world, datagramFrame(setting, family, data), udp(0, GsoType.none));
      await expect.poll(() => setting.received.length).toBe(1);
      expect(setting.received[0]!.equals(data)).toBe(true);
    });

    it(`come many in a frame, over IPv${String(family)}`, async () => {
      const setting = await openDatagrams(family);
      const data = testBytes(10_050);
      const frame = datagramFrame(setting, family, data);
      sendFramed(setting.world, frame, udp(1000, GsoType.udpDatagrams));
      await expect.poll(() => setting.received.length).toBe(11);
      expect(setting.received.map(({ length }) => length)).toEqual([...Array(10).fill(1000), 50]);
      expect(Buffer.concat(setting.received).equals(data)).toBe(true);
    });

    it(`come whole where they were to be fragmented, over IPv${String(family)}`, async () => {
      const setting = await openDatagrams(family);
      const data = testBytes(20_000);
      const frame = datagramFrame(setting, family, data);
      sendFramed(setting.world, frame, udp(1472, GsoType.udpFragments));
      await expect.poll(() => setting.received.length).toBe(1);
      expect(setting.received[0]!.equals(data)).toBe(true);
    });
  }

  it("with a wrong checksum that is said to be complete are dropped", async () => {
    const setting = await openDatagrams(4);
    const bad = datagramFrame(setting, 4, testBytes(100));
    bad[40]! ^= 0x55;
    sendFramed(setting.world, bad, {});
    sendFramed(setting.world, datagramFrame(setting, 4, Buffer.from("after")), {});
    await expect.poll(() => setting.received.map(String)).toEqual(["after"]);
  });
});

describe("headers that cannot be true", () => {
  const flags = HeaderFlag.needsChecksum;
  const cases: Readonly<Record<string, Partial<VirtioNetHeader>>> = {
    "a checksum beyond the frame": { flags, checksumStart: 34, checksumOffset: 5000 },
    "a checksum in the Ethernet header": { flags, checksumStart: 2, checksumOffset: 2 },
    "TCP over the other IP version": { flags, gsoType: GsoType.tcp6, segmentBytes: 100 },
    "TCP that is UDP": { flags, gsoType: GsoType.tcp4, segmentBytes: 100 },
    "no size of a datagram": { flags, gsoType: GsoType.udpDatagrams },
    "a kind that does not exist": { flags, gsoType: 77, segmentBytes: 100 },
    "ECN of nothing": { flags, gsoType: GSO_ECN | 2, segmentBytes: 100 },
  };
  for (const [what, header] of Object.entries(cases)) {
    it(`drop the frame and count it: ${what}`, async () => {
      const setting = await openDatagrams(4);
      const frame = datagramFrame(setting, 4, testBytes(300));
      sendFramed(setting.world, frame, { checksumStart: 34, checksumOffset: 6, ...header });
      sendFramed(setting.world, datagramFrame(setting, 4, Buffer.from("after")), {});
      await expect.poll(() => setting.received.map(String)).toEqual(["after"]);
      expect(setting.world.slirp.statistics().droppedFromGuest).toBe(1);
    });
  }

  it("mean nothing where no features were agreed on", async () => {
    const setting = await openDatagrams(4);
    setting.world.slirp.setCapabilities(0n, 12);
    const frame = datagramFrame(setting, 4, Buffer.from("plain"));
    sendFramed(setting.world, frame, { gsoType: 77, segmentBytes: 9 });
    await expect.poll(() => setting.received.map(String)).toEqual(["plain"]);
  });

  it("of any kind crash nothing", async () => {
    const setting = await openDatagrams(4);
    const { world } = setting;
    const addresses = { ...world.guest.to(gatewayOf(4)) };
    const segment = makeTcpFrame(addresses, {
      sourcePort: 1,
      destinationPort: setting.port,
      seq: 1,
      flags: TcpFlag.syn,
      window: 1,
      payload: testBytes(3000),
    });
    const datagram = datagramFrame(setting, 6, testBytes(3000));
    for (let seed = 0; seed < 3000; seed++) {
      const random = testBytes(16, seed + 1);
      const frame = (seed % 2 === 0 ? segment : datagram).slice();
      frame[12 + (random[0]! % 60)] = random[1]!;
      const types = [0, 1, 3, 4, 5, 0x81, 0x84, random[2]!];
      sendFramed(world, frame.subarray(0, 14 + ((random[3]! << 4) % frame.length)), {
        flags: random[4]! & 3,
        gsoType: types[random[5]! % types.length]!,
        segmentBytes: random[6]! % 3 === 0 ? random[7]! : 1400,
        checksumStart: random[8]! % 70,
        checksumOffset: random[9]! % 3 === 0 ? random[10]! * 256 : random[10]! % 20,
      });
    }
    const before = setting.received.length;
    sendFramed(world, datagramFrame(setting, 4, Buffer.from("alive")), {});
    await expect.poll(() => String(setting.received.at(-1))).toBe("alive");
    expect(setting.received.length).toBeGreaterThan(before);
    expect(world.guest.failure).toBeUndefined();
  });
});
