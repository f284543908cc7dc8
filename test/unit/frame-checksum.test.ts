/** The header before a frame, and checksums that it calls unfinished, against frames built anew. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finishChecksum, locateChecksum } from "../../src/frames/frame-checksum.js";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import { emptyHeader, GsoType, HeaderFlag, readHeader, writeHeader } from "../../src/virtio-net.js";
import {
  anyHeader,
  buildFrame,
  embed,
  frameParts,
  headerOf,
  placesOf,
} from "../support/offload-frames.js";

describe("the virtio-net header", () => {
  it("is read as it was written, in both byte orders", () => {
    fc.assert(
      fc.property(anyHeader, fc.constantFrom(10, 12), fc.boolean(), (header, length, little) => {
        const bytes = new Uint8Array(20);
        expect(writeHeader(bytes, 3, length, header, little)).toBe(3 + length);
        const read = emptyHeader();
        expect(readHeader(bytes, 3, length, read, little)).toBe(true);
        expect(read).toEqual(header);
        if (length === 12) expect(bytes[little ? 13 : 14]).toBe(1);
      }),
    );
  });

  it("says nothing at length 0, and is not read beyond the memory", () => {
    const read = { ...emptyHeader(), flags: 1, gsoType: 4 };
    expect(readHeader(Uint8Array.of(255), 0, 0, read)).toBe(true);
    expect(read).toEqual(emptyHeader());
    expect(readHeader(new Uint8Array(11), 0, 12, read)).toBe(false);
  });
});

describe("an unfinished checksum", () => {
  it("is finished where the header says, whatever stands before it", () => {
    const property = fc.property(frameParts, fc.nat(5), fc.nat(8), (parts, before, padding) => {
      const unfinished = buildFrame(parts, "unfinished");
      const bytes = embed(unfinished, before, padding);
      const header = headerOf(parts, GsoType.none, 0);
      expect(finishChecksum(bytes, before, unfinished.length + padding, header)).toBe(true);
      expect(header.flags).toBe(0);
      const expected = buildFrame(parts);
      const { transport } = placesOf(parts);
      const at = transport + header.checksumOffset;
      // 0 and ffff are the same sum; Linux writes ffff for TCP, too.
      if (expected[at] === 0 && expected[at + 1] === 0) expected.fill(0xff, at, at + 2);
      expect(bytes).toEqual(embed(expected, before, padding));
    });
    fc.assert(property);
  });

  it("is found by walking over the headers", () => {
    fc.assert(
      fc.property(frameParts, fc.nat(5), (parts, before) => {
        const frame = buildFrame(parts, "unfinished");
        const header = emptyHeader();
        expect(locateChecksum(embed(frame, before, 0), before, frame.length, header)).toBe(true);
        const { flags, checksumStart, checksumOffset } = headerOf(parts, GsoType.none, 0);
        expect(header).toEqual({ ...emptyHeader(), flags, checksumStart, checksumOffset });
      }),
    );
  });

  it("is not found in what has none, and then nothing is said, whatever was looked at before", () => {
    const property = fc.property(frameParts, fc.nat(2), (parts, what) => {
      locateChecksum(buildFrame(parts), 0, buildFrame(parts).length, emptyHeader());
      const { network, transport } = placesOf({ ...parts, extensions: [] });
      const frame = buildFrame({ ...parts, extensions: [] });
      // No IP; a protocol without checksum that we know; cut off within the transport header.
      if (what === 0) frame.set([0x88, 0xb5], network - 2);
      else if (what === 1) frame[network + (parts.family === 4 ? 9 : 6)] = 132;
      const length = what === 2 ? transport + 7 : frame.length;
      const header = emptyHeader();
      expect(locateChecksum(frame, 0, length, header)).toBe(false);
      expect(header).toEqual(emptyHeader());
    });
    fc.assert(property);
  });

  it("is not found where a header cannot say where it is: its fields have 16 bits", () => {
    const parts = fc.sample(frameParts, 1)[0]!;
    // (65535 - 14 - 60) / 4 tags leave some room; as many as fit into 64 KiB, none.
    for (const [tags, isNear] of [
      [16_000, true],
      [16_384, false],
    ] as const) {
      const frame = buildFrame({ ...parts, extensions: [], tags: Array<number>(tags).fill(1) });
      const header = emptyHeader();
      expect(locateChecksum(frame, 0, frame.length, header)).toBe(isNear);
      expect(header.checksumStart < 0x10000).toBe(true);
      expect(new FrameJoiner().start(new Uint8Array(80_000), 0, frame, 0, frame.length)).toBe(
        isNear,
      );
    }
  });

  it("is left alone in a fragment", () => {
    fc.assert(
      fc.property(frameParts, fc.constantFrom(0x2000, 1, 0x1fff), (parts, fragment) => {
        const frame = buildFrame({ ...parts, family: 4 }, "unfinished");
        const header = headerOf({ ...parts, family: 4 }, GsoType.none, 0);
        const { network } = placesOf({ ...parts, family: 4 });
        new DataView(frame.buffer).setUint16(network + 6, fragment);
        const before = frame.slice();
        expect(locateChecksum(frame, 0, frame.length, emptyHeader())).toBe(false);
        expect(finishChecksum(frame, 0, frame.length, header)).toBe(true);
        expect(frame).toEqual(before);
      }),
    );
  });

  it("is refused where the header points outside of the frame", () => {
    const frame = new Uint8Array(60);
    const header = { ...emptyHeader(), flags: HeaderFlag.needsChecksum };
    const outside = [
      [13, 0],
      [58, 1],
      [60, 0],
      [65535, 65535],
      [14, 45],
    ] as const;
    for (const [checksumStart, checksumOffset] of outside) {
      const bad = { ...header, checksumStart, checksumOffset };
      expect(finishChecksum(embed(frame, 2, 60), 2, 60, bad)).toBe(false);
    }
    const last = { ...header, checksumStart: 14, checksumOffset: 44 };
    expect(finishChecksum(frame, 0, 60, last)).toBe(true);
  });
});
