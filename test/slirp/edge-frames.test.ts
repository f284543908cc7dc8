/**
 * What the stack's edge makes of one transfer for NICs that take more or less: long frames that are marked, segments with unfinished
 * checksums, segments. All of it must be the same frames to the byte, whoever cuts: the module, `FrameSegmenter`, or Linux.
 *
 * The stack's clock stands still, so that each run is the same: sequence numbers, ids, and what goes in which turn.
 */
import { describe, expect, it } from "vitest";
import type { IpFamily } from "../../src/address.js";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import { FrameTranslator, guestOffloads } from "../../src/frames/frame-translator.js";
import {
  emptyHeader,
  GsoType,
  HeaderFlag,
  readHeader,
  VirtioNetFeature,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { BridgedTaps, withHeader } from "../support/bridged-taps.js";
import { framesOf } from "../support/frames.js";
import { ManualClock } from "../support/manual-clock.js";
import { whyNoTap } from "../support/network-namespace.js";
import { OffloadingNic } from "../support/offloading-nic.js";
import type { RawConnection } from "../support/raw-connection.js";
import { closeWorldsAfterEach, openWorld } from "../support/raw-world.js";

closeWorldsAfterEach();

const { guestChecksum, guestTso4, guestTso6 } = VirtioNetFeature;
const LONG = guestChecksum | guestTso4 | guestTso6;
const HEADER_BYTES = 12;
const PORT = 80;
const BYTES = 400_001;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const TCP = 6;

/** The frames with TCP payload towards a guest that fetches some bytes, as its NIC is given them, header and all. */
async function framesOfTransfer(features: bigint, family: IpFamily): Promise<Uint8Array[]> {
  const given: Uint8Array[] = [];
  const world = await openWorld({
    network: { clock: new ManualClock() },
    plugIn: (slirp) => {
      const nic = new OffloadingNic(slirp, features);
      const { callbacks } = slirp;
      slirp.callbacks = {
        ...callbacks,
        onFrames: (batch) => {
          given.push(...framesOf(batch));
          callbacks?.onFrames(batch);
        },
      };
      return nic;
    },
  });
  const { guest, slirp } = world;
  guest.arp();
  guest.announceIpv6();
  let incoming: RawConnection | undefined;
  guest.listen(PORT, (connection) => {
    incoming = connection;
    Object.assign(connection, { window: 512 * 1024, windowShift: 4 });
  });
  // The host's end lies in memory: nothing depends on when a socket of the system is ready.
  const address = guest.addresses[family].address;
  const [socket, connection] = await Promise.all([
    slirp.connect({ port: PORT, address }),
    guest.until(() => incoming, "a connection"),
  ]);
  const data = testBytes(BYTES);
  const writer = socket.writable.getWriter();
  await Promise.all([writer.write(data), connection.untilReceived(BYTES)]);
  expect(connection.receivedDigest()).toBe(sha256(data));
  return given.filter((frame) => isSegment(frame, family));
}

/** Whether a frame has TCP payload. The stack's headers have no options but in SYN. */
function isSegment(framed: Uint8Array, family: IpFamily): boolean {
  const view = new DataView(framed.buffer, HEADER_BYTES);
  const isTcp =
    family === 4
      ? view.getUint16(12) === IPV4 && view.getUint8(23) === TCP
      : view.getUint16(12) === IPV6 && view.getUint8(20) === TCP;
  const headers = family === 4 ? 40 : 60;
  const packet = family === 4 ? view.getUint16(16) : 40 + view.getUint16(18);
  return isTcp && packet > headers;
}

const hexOf = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");

/** Frames as one that takes nothing is given them, without header. */
function cutAll(framed: readonly Uint8Array[]): string[] {
  const translator = new FrameTranslator(guestOffloads(0n), 0);
  return framed.flatMap((frame) => {
    const count = translator.begin(frame, 0, frame.length, HEADER_BYTES);
    const target = new Uint8Array(translator.maxFrameBytes);
    return Array.from({ length: count }, () =>
      hexOf(target.subarray(0, translator.next(target, 0))),
    );
  });
}

/** One long frame of several, with its header. */
function joinAll(frames: readonly Uint8Array[]): Uint8Array {
  const joiner = new FrameJoiner();
  const target = new Uint8Array(70_000);
  const [first = new Uint8Array(), ...others] = frames;
  expect(joiner.start(target, 0, first, 0, first.length)).toBe(true);
  for (const frame of others) expect(joiner.append(frame, 0, frame.length)).toBe(true);
  const header = emptyHeader();
  const length = joiner.finish(header);
  return withHeader(target.subarray(0, length), header);
}

function headerOf(framed: Uint8Array): VirtioNetHeader {
  const header = emptyHeader();
  readHeader(framed, 0, HEADER_BYTES, header);
  return header;
}

for (const family of [4, 6] as const) {
  describe(`a transfer over IPv${String(family)}`, () => {
    it("is cut by the module as its long frames are cut by us", async () => {
      const plain = await framesOfTransfer(0n, family);
      const long = await framesOfTransfer(LONG, family);
      expect(plain.length).toBeGreaterThan(BYTES / 1460);
      expect(long.length, "long frames are few").toBeLessThan(plain.length / 8);
      expect(plain.every((frame) => headerOf(frame).flags === 0)).toBe(true);
      expect(cutAll(long)).toEqual(plain.map((frame) => hexOf(frame.subarray(HEADER_BYTES))));
    });

    it("has the checksums left unfinished that it has finished else", async () => {
      const plain = await framesOfTransfer(0n, family);
      const unfinished = await framesOfTransfer(guestChecksum, family);
      const left = unfinished.filter((frame) => headerOf(frame).flags === HeaderFlag.needsChecksum);
      // What libslirp sends as a single segment of its own accord it has summed up.
      expect(left.length).toBeGreaterThan(unfinished.length * 0.9);
      expect(cutAll(unfinished)).toEqual(cutAll(plain));
    });

    it("has its long frames marked as we mark what we join, frame and header", async () => {
      const plain = await framesOfTransfer(0n, family);
      const long = await framesOfTransfer(LONG, family);
      const rest = plain.map((frame) => frame.subarray(HEADER_BYTES));
      for (const frame of long) {
        const header = headerOf(frame);
        const payload = frame.length - HEADER_BYTES - header.headerBytes;
        const isLong = header.gsoType !== GsoType.none;
        const parts = rest.splice(0, isLong ? Math.ceil(payload / header.segmentBytes) : 1);
        if (isLong) expect(hexOf(frame)).toBe(hexOf(joinAll(parts)));
        else expect(cutAll([frame])).toEqual(parts.map(hexOf));
      }
      expect(rest).toEqual([]);
    });

    it("is cut by Linux as it is by the module", async (ctx) => {
      const missing = whyNoTap();
      if (missing !== undefined) ctx.skip(missing);
      const plain = await framesOfTransfer(0n, family);
      const long = await framesOfTransfer(LONG, family);
      const taps = await BridgedTaps.create();
      try {
        taps.near.setCapabilities(taps.near.capabilities(HEADER_BYTES), HEADER_BYTES);
        const theirs: string[] = [];
        for (const frame of long) {
          const count = cutAll([frame]).length;
          const parts = await taps.through([frame], ({ length }) => length >= count);
          theirs.push(...parts.map(hexOf));
        }
        expect(theirs).toEqual(plain.map((frame) => hexOf(frame.subarray(HEADER_BYTES))));
      } finally {
        await taps.close();
      }
    });
  });
}
