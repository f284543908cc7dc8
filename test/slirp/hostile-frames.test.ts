/**
 * A guest that means harm: whatever it sends, the stack neither fails nor stops, and goes on serving.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ipAddress } from "../../src/address.js";
import type { HeaderLength } from "../../src/backend.js";
import { createSlirp } from "../../src/node.js";
import { ManualClock } from "../support/manual-clock.js";
import { batchOf, GUEST_MAC, NETWORK_MAC } from "../support/frames.js";
import {
  makeArpFrame,
  makeFrame,
  makeIcmpFrame,
  makeIpFrame,
  makeTcpFrame,
  makeUdpMessage,
  type FrameAddresses,
} from "../support/make-frame.js";
import { Protocol } from "../support/packet.js";
import { RawGuest } from "../support/raw-guest.js";
import { closeWorldsAfterEach, GATEWAY, openWorld } from "../support/raw-world.js";
import { WatchedNetwork } from "../support/watched-network.js";

closeWorldsAfterEach();

const TIMEOUT_MS = 60_000;
const macs = { sourceMac: GUEST_MAC, destinationMac: NETWORK_MAC };

/** Nothing leaves this machine, nor reaches it: every connection and datagram is refused. */
const ENETUNREACH = -40;

/** Addresses inside the guest's network, where no traffic goes anywhere else. */
const addresses: fc.Arbitrary<FrameAddresses> = fc
  .constantFrom(
    ["10.0.2.15", "10.0.2.2"],
    ["10.0.2.15", "10.0.2.3"],
    ["fec0::15", "fec0::2"],
    ["fe80::1234", "ff02::2"],
  )
  .map(([source = "", destination = ""]) => ({
    ...macs,
    source: ipAddress(source),
    destination: ipAddress(destination),
  }));

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const port = fc.constantFrom(0, 1, 53, 67, 69, 113, 547, 4000, 65_535);
const sequence = fc.constantFrom(0, 1, 2, 0x7fff_ffff, 0xffff_ffff);

/** Frames that are nearly right, of every protocol that the stack knows. */
const nearlyRight: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .record({
      addresses,
      sourcePort: port,
      destinationPort: port,
      seq: sequence,
      ack: sequence,
      flags: fc.integer({ min: 0, max: 63 }),
      window: fc.constantFrom(0, 1, 65_535),
      urgentPointer: fc.constantFrom(0, 1, 65_535),
      options: fc
        .integer({ min: 0, max: 10 })
        .chain((words) => fc.uint8Array({ minLength: words * 4, maxLength: words * 4 })),
      payload: bytes(200),
    })
    .map(({ addresses: ends, ...segment }) => makeTcpFrame(ends, segment)),
  fc
    .record({ addresses, source: port, destination: port, payload: bytes(400) })
    .map(({ addresses: ends, source, destination, payload }) =>
      makeIpFrame(ends, Protocol.udp, makeUdpMessage(ends, { source, destination }, payload)),
    ),
  fc
    .record({ addresses, type: fc.integer({ min: 0, max: 255 }), body: bytes(200) })
    .map(({ addresses: ends, type, body }) => makeIcmpFrame(ends, { type, body })),
  fc
    .record({
      addresses,
      protocol: fc.constantFrom(1, 6, 17, 58, 255),
      id: fc.integer({ min: 0, max: 3 }),
      offset: fc.integer({ min: 0, max: 8191 }).map((words) => words * 8),
      more: fc.boolean(),
      payload: bytes(300),
    })
    .map(({ addresses: ends, protocol, payload, ...fragment }) =>
      makeIpFrame(ends, protocol, payload, { fragment }),
    ),
  fc
    .record({ sender: bytes(4), target: fc.constantFrom("10.0.2.2", "10.0.2.3", "10.0.2.15") })
    .map(({ sender, target }) =>
      makeArpFrame(macs, { operation: 1, sender, target: ipAddress(target).bytes }),
    ),
  fc
    .record({ type: fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x88f8, 0x8100), body: bytes(100) })
    .map(({ type, body }) => makeFrame(macs, type, body)),
);

/** What is done to a frame on the way: bytes changed, its end cut off, or made longer. */
const hostile: fc.Arbitrary<Uint8Array> = fc
  .record({
    frame: nearlyRight,
    changes: fc.array(fc.record({ at: fc.nat(120), value: fc.integer({ min: 0, max: 255 }) }), {
      maxLength: 4,
    }),
    cut: fc.option(fc.nat(80)),
    padding: fc.constantFrom(0, 0, 0, 1, 60, 65_000),
  })
  .map(({ frame, changes, cut, padding }) => {
    const longer = new Uint8Array(frame.length + padding);
    longer.set(frame);
    for (const { at, value } of changes) if (at < frame.length) longer[at] = value;
    return cut === null ? longer : longer.subarray(0, Math.max(longer.length - cut, 0));
  });

async function expectToAnswer(guest: RawGuest): Promise<void> {
  guest.icmp.length = 0;
  guest.arp();
  guest.ping(GATEWAY[4], Buffer.from("are you there?"));
  await guest.until(() => guest.icmp.find(({ type }) => type === 0), "the answer to a ping");
  expect(guest.failure).toBeUndefined();
}

for (const headerLength of [0, 10, 12] as const satisfies HeaderLength[]) {
  describe(`frames with a header of ${String(headerLength)} bytes`, () => {
    it("that are hostile do no harm", { timeout: TIMEOUT_MS }, async () => {
      const clock = new ManualClock();
      const network = new WatchedNetwork({ clock });
      network.refuseConnect = network.refuseDatagram = () => ENETUNREACH;
      const slirp = await createSlirp({ hostNetwork: network });
      slirp.setCapabilities(0n, headerLength);
      const guest = new RawGuest(slirp, { headerLength });
      await fc.assert(
        fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 40 }), async (frames) => {
          guest.together(() => {
            for (const frame of frames) guest.sendFrame(frame);
          });
          await clock.advance(3000);
          expect(guest.failure).toBeUndefined();
        }),
        { numRuns: 150 },
      );
      await expectToAnswer(guest);
      await slirp.close();
      await network.close();
    });
  });
}

describe("hostile frames", () => {
  it("that are noise do no harm", { timeout: TIMEOUT_MS }, async () => {
    const { guest, slirp } = await openWorld({ slirp: { restricted: true } });
    await fc.assert(
      fc.asyncProperty(fc.array(bytes(300), { maxLength: 60 }), async (frames) => {
        slirp.sendBatch(batchOf(frames));
        await Promise.resolve();
        expect(guest.failure).toBeUndefined();
      }),
      { numRuns: 200 },
    );
    await expectToAnswer(guest);
  });

  it(
    "that flood the stack with new connections are bounded in what they cost",
    { timeout: TIMEOUT_MS },
    async () => {
      const clock = new ManualClock();
      const { guest, slirp, network } = await openWorld({ network: { clock } });
      network.refuseConnect = () => ENETUNREACH;
      const before = slirp.memoryBytes;
      for (let round = 0; round < 50; round++) {
        guest.together(() => {
          for (let i = 0; i < 200; i++) guest.forget(guest.connect("10.0.2.2", 1 + i));
        });
        await clock.advance(10);
      }
      expect(slirp.sockets()).toEqual([]);
      expect(slirp.memoryBytes - before).toBeLessThan(8 * 1024 * 1024);
      await expectToAnswer(guest);
    },
  );
});
