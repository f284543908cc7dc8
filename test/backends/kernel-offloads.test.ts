/**
 * What Linux makes of the same frames: two TAPs in a bridge, of which one is given frames with headers and the other takes plain ones only, so
 * that the kernel itself finishes checksums and cuts. Ours must be the same to the byte.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finishChecksum } from "../../src/frames/frame-checksum.js";
import { FrameSegmenter } from "../../src/frames/frame-segmenter.js";
import {
  emptyHeader,
  GsoType,
  HeaderFlag,
  VirtioNetFeature,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { BridgedTaps, withHeader } from "../support/bridged-taps.js";
import { numberedFrame } from "../support/frames.js";
import { whyNoTap } from "../support/network-namespace.js";
import {
  buildFrame,
  frameParts,
  gsoTypeOf,
  headerOf,
  placesOf,
  type FrameParts,
} from "../support/offload-frames.js";

const RUNS = 200;
/** Linux wants room for an IPv4 header before what is summed up. */
const LEAST_CHECKSUM_START = 34;
/** Linux takes no more datagrams in one frame. */
const MAX_DATAGRAMS = 64;

const missing = whyNoTap();

/** Of the IPv6 header's field for what follows (RFC 8200 4.5). */
const FRAGMENT = 44;

/** IPv6 chooses a number for the fragments of a packet, which is nobody else's: the same frame with 0 for it. */
function clearFragmentId(parts: FrameParts, frame: Uint8Array): Uint8Array {
  const { network } = placesOf(parts);
  const isFragment = parts.family === 6 && frame[network + 6] === FRAGMENT;
  return isFragment ? frame.slice().fill(0, network + 44, network + 48) : frame;
}

/** As text: easier on the eye where they differ. */
function hexOf(frames: readonly Uint8Array[]): string[] {
  return frames.map((frame) => Buffer.from(frame).toString("hex"));
}

if (missing !== undefined) {
  it("frames that Linux cuts and completes are as ours", (ctx) => {
    ctx.skip(missing);
  });
}

describe.runIf(missing === undefined)("frames that Linux cuts and completes", () => {
  let taps: BridgedTaps;

  beforeAll(async () => {
    taps = await BridgedTaps.create();
    taps.near.setCapabilities(taps.near.capabilities(12), 12);
  });

  afterAll(() => taps.close());

  /** What comes out of the bridge. */
  const throughKernel = (
    frame: Uint8Array,
    header: VirtioNetHeader,
    count: number,
  ): Promise<readonly Uint8Array[]> =>
    taps.through([withHeader(frame, header)], ({ length }) => length >= count);

  function cut(frame: Uint8Array, header: VirtioNetHeader): Uint8Array[] {
    const segmenter = new FrameSegmenter();
    const count = segmenter.begin(frame, 0, frame.length, header);
    return Array.from({ length: count }, () => {
      const part = new Uint8Array(segmenter.maxPartBytes);
      return part.subarray(0, segmenter.next(part, 0));
    });
  }

  it("have the checksums that ours have", async () => {
    const property = fc.asyncProperty(frameParts, async (any) => {
      const parts: FrameParts = { ...any, payload: any.payload.subarray(0, 1200) };
      const frame = buildFrame(parts, "unfinished");
      const header = headerOf(parts, GsoType.none, 0);
      const theirs = await throughKernel(frame, header, 1);
      expect(finishChecksum(frame, 0, frame.length, header)).toBe(true);
      expect(hexOf(theirs)).toEqual(hexOf([frame]));
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  it("have the checksums that ours have where their protocol is nobody's, too", async () => {
    const anyFrame = fc.uint8Array({ minLength: 60, maxLength: 1200 }).chain((payload) =>
      fc
        .integer({ min: LEAST_CHECKSUM_START, max: payload.length - 2 })
        .chain((start) => fc.tuple(fc.constant(start), fc.nat(payload.length - 2 - start)))
        .map(([checksumStart, checksumOffset]) => ({ payload, checksumStart, checksumOffset })),
    );
    const property = fc.asyncProperty(anyFrame, async ({ payload, ...checksum }) => {
      const frame = numberedFrame(0, { length: payload.length });
      frame.set(payload.subarray(14), 14);
      // For experiments (IEEE 802).
      frame.set([0x88, 0xb5], 12);
      const header = { ...emptyHeader(), ...checksum, flags: HeaderFlag.needsChecksum };
      const theirs = await throughKernel(frame, header, 1);
      expect(finishChecksum(frame, 0, frame.length, header)).toBe(true);
      expect(hexOf(theirs)).toEqual(hexOf([frame]));
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  /** What has to be cut, into parts that fit the MTU with the longest headers. Linux drops what need not be. */
  const segments = fc
    .tuple(frameParts, fc.integer({ min: 64, max: 1300 }))
    .filter(([{ payload }, size]) => payload.length > size);

  async function expectSame(
    parts: FrameParts,
    gsoType: number,
    size: number,
    clean: (frame: Uint8Array) => Uint8Array = (frame) => frame,
  ): Promise<void> {
    const frame = buildFrame(parts, "unfinished");
    const header = headerOf(parts, gsoType, size);
    const ours = cut(frame, header);
    const theirs = await throughKernel(frame, header, ours.length);
    expect(hexOf(theirs.map(clean))).toEqual(hexOf(ours.map(clean)));
  }

  it("of TCP segments are cut as ours are", async () => {
    const property = fc.asyncProperty(segments, async ([any, size]) => {
      const parts: FrameParts = { ...any, protocol: "tcp" };
      const ecn = (parts.flags & 0x80) !== 0 ? 0x80 : 0;
      await expectSame(parts, gsoTypeOf(parts) | ecn, size);
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  it("of UDP datagrams are cut as ours are", async (ctx) => {
    if ((taps.near.capabilities(12) & VirtioNetFeature.hostUso) === 0n) {
      ctx.skip("the kernel does not know USO");
    }
    const property = fc.asyncProperty(segments, async ([any, size]) => {
      const payload = any.payload.subarray(0, size * MAX_DATAGRAMS);
      const parts: FrameParts = { ...any, protocol: "udp", payload };
      await expectSame(parts, GsoType.udpDatagrams, size);
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });

  it("of a datagram are fragmented as ours are", async () => {
    const property = fc.asyncProperty(segments, async ([any, size]) => {
      // Behind extension headers Linux counts their length into the fragments' offsets, and nobody could put them together.
      const parts: FrameParts = { ...any, protocol: "udp", extensions: [] };
      const withoutId = (frame: Uint8Array): Uint8Array => clearFragmentId(parts, frame);
      await expectSame(parts, GsoType.udpFragments, size & ~7, withoutId);
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
  });
});
