/** Fragments whose header calls their checksum unfinished: it belongs to a packet that is not there as a whole, and is left alone. */
import { describe, expect, it } from "vitest";
import { ipAddress, type IpFamily } from "../../src/address.js";
import { emptyHeader, HeaderFlag, type VirtioNetHeader } from "../../src/virtio-net.js";
import { testBytes } from "../host-network-contract/test-data.js";
import { withHeader } from "../support/bridged-taps.js";
import { makeFrame, makeIpFrame, makeUdpMessage } from "../support/make-frame.js";
import { EtherType, Protocol } from "../support/packet.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";
import { insideOf } from "../support/stack-inside.js";

closeWorldsAfterEach();

const IP6_FRAGMENT = 44;
const PIECE_BYTES = 800;

interface Setting {
  readonly world: World;
  readonly received: Buffer[];
  /** The datagram's UDP message, its checksum finished. */
  readonly message: (payload: Uint8Array) => Uint8Array;
}

async function open(family: IpFamily): Promise<Setting> {
  const world = await openWorld({ guest: { headerLength: 12 } });
  world.slirp.setCapabilities(world.slirp.capabilities(12), 12);
  world.guest.arp();
  const { socket, endpoint } = await world.peers.udpSocket(LOOPBACK[family]);
  const received: Buffer[] = [];
  socket.on("message", (bytes) => received.push(bytes));
  const to = world.guest.to(ipAddress(GATEWAY[family]));
  const ports = { source: 4000, destination: endpoint.port };
  return { world, received, message: (payload) => makeUdpMessage(to, ports, payload) };
}

function unfinished(checksumStart: number): VirtioNetHeader {
  return { ...emptyHeader(), flags: HeaderFlag.needsChecksum, checksumStart, checksumOffset: 6 };
}

/** The frames of a message in fragments. */
function fragmentsOf(world: World, family: IpFamily, message: Uint8Array, id: number) {
  const to = world.guest.to(ipAddress(GATEWAY[family]));
  const frames: Uint8Array[] = [];
  for (let offset = 0; offset < message.length; offset += PIECE_BYTES) {
    const piece = message.subarray(offset, offset + PIECE_BYTES);
    const more = offset + PIECE_BYTES < message.length;
    if (family === 4) {
      frames.push(makeIpFrame(to, Protocol.udp, piece, { fragment: { id, offset, more } }));
      continue;
    }
    // RFC 8200 4.5.
    const header = Uint8Array.of(Protocol.udp, 0, 0, 0, 0, 0, id >> 8, id & 0xff);
    new DataView(header.buffer).setUint16(2, offset | Number(more));
    frames.push(makeIpFrame(to, IP6_FRAGMENT, Buffer.concat([header, piece])));
  }
  return frames;
}

describe("fragments with a checksum that is said to be unfinished", () => {
  it("keep it over IPv4: what was right is right when they are put together", async () => {
    const { world, received, message } = await open(4);
    const data = testBytes(2000);
    for (const frame of fragmentsOf(world, 4, message(data), 1)) {
      world.slirp.send(withHeader(frame, unfinished(34)));
    }
    await expect.poll(() => received.length).toBe(1);
    expect(received[0]!.equals(data)).toBe(true);
  });

  it("keep it over IPv4: what was not is not, and the datagram is not believed", async () => {
    const { world, received, message } = await open(4);
    const spoilt = message(testBytes(2000));
    spoilt[6]! ^= 0x55;
    for (const frame of fragmentsOf(world, 4, spoilt, 2)) {
      world.slirp.send(withHeader(frame, unfinished(34)));
    }
    const after = makeIpFrame(
      world.guest.to(ipAddress(GATEWAY[4])),
      Protocol.udp,
      message(Buffer.from("after")),
    );
    world.slirp.send(withHeader(after, emptyHeader()));
    await expect.poll(() => received.map(String)).toEqual(["after"]);
  });

  it("keep it over IPv6, where the stack takes no fragments, and whole packets go on", async () => {
    const { world, received, message } = await open(6);
    const { instance } = insideOf(world.slirp);
    const to = world.guest.to(ipAddress(GATEWAY[6]));
    const sent = fragmentsOf(world, 6, message(testBytes(2000)), 3);
    for (const frame of sent) world.slirp.send(withHeader(frame, unfinished(62)));
    const whole = makeIpFrame(to, Protocol.udp, message(Buffer.from("whole")));
    world.slirp.send(withHeader(whole, emptyHeader()));
    await expect.poll(() => received.map(String)).toEqual(["whole"]);
    const memory = Buffer.from(instance.HEAPU8.buffer);
    for (const frame of sent) {
      expect(memory.includes(Buffer.from(frame)), "it lies in the area as it was sent").toBe(true);
    }
    // What is no fragment is finished in place: the look into memory would see it.
    const sctp = makeFrame(to, EtherType.ipv6, frameBody(whole, 132));
    world.slirp.send(withHeader(sctp, { ...unfinished(54), checksumOffset: 8 }));
    world.slirp.send(withHeader(whole, emptyHeader()));
    await expect.poll(() => received.length).toBe(2);
    expect(Buffer.from(instance.HEAPU8.buffer).includes(Buffer.from(sctp))).toBe(false);
  });
});

/** The IPv6 packet of a frame, as one of another protocol. */
function frameBody(frame: Uint8Array, protocol: number): Uint8Array {
  const packet = frame.slice(14);
  packet[6] = protocol;
  return packet;
}
