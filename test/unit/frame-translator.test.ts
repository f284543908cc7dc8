/** Frames translated for those who take less than the header says; and bytes that lie. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finishChecksum, locateChecksum } from "../../src/frames/frame-checksum.js";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import { FrameSegmenter } from "../../src/frames/frame-segmenter.js";
import { FrameTranslator, guestOffloads, hostOffloads } from "../../src/frames/frame-translator.js";
import {
  emptyHeader,
  HEADER_LENGTHS,
  HeaderFlag,
  readHeader,
  VirtioNetFeature,
  writeHeader,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import {
  anyHeader,
  buildFrame,
  embed,
  frameParts,
  gsoTypeOf,
  headerOf,
  referenceSegments,
} from "../support/offload-frames.js";

describe("a translator", () => {
  const everything = Object.values(VirtioNetFeature).reduce((all, mask) => all | mask, 0n);
  const receivers = [
    { offloads: guestOffloads(0n), headerLength: 0 as const },
    { offloads: guestOffloads(0n), headerLength: 12 as const },
    { offloads: guestOffloads(VirtioNetFeature.guestChecksum), headerLength: 10 as const },
    { offloads: guestOffloads(everything), headerLength: 12 as const },
    { offloads: hostOffloads(everything), headerLength: 0 as const },
  ];

  function translate(
    receiver: (typeof receivers)[number],
    framed: Uint8Array,
    headerLength: 0 | 10 | 12,
  ): { frame: Uint8Array; header: VirtioNetHeader }[] {
    const translator = new FrameTranslator(receiver.offloads, receiver.headerLength);
    const count = translator.begin(framed, 0, framed.length, headerLength);
    const target = new Uint8Array(translator.maxFrameBytes);
    return Array.from({ length: count }, () => {
      const length = translator.next(target, 0);
      const header = emptyHeader();
      readHeader(target, 0, receiver.headerLength, header);
      return { frame: target.slice(receiver.headerLength, length), header };
    });
  }

  it("gives every receiver what it takes, and no more", () => {
    const property = fc.property(
      frameParts,
      fc.integer({ min: 40, max: 1500 }),
      fc.constantFrom(...receivers),
      fc.constantFrom(10 as const, 12 as const),
      (parts, segmentBytes, receiver, headerLength) => {
        const frame = buildFrame(parts, "unfinished");
        const header = headerOf(parts, gsoTypeOf(parts), segmentBytes);
        const framed = embed(frame, headerLength, 0);
        writeHeader(framed, 0, headerLength, header);
        const out = translate(receiver, framed, headerLength);
        const takesIt = receiver.headerLength === 12 && receiver.offloads.tcp4;
        if (takesIt) expect(out).toEqual([{ frame, header }]);
        else {
          const plain = referenceSegments(parts, segmentBytes);
          expect(out).toEqual(plain.map((part) => ({ frame: part, header: emptyHeader() })));
        }
        writeHeader(framed, 0, headerLength, { ...header, gsoType: 0 });
        const [short, ...none] = translate(receiver, framed, headerLength);
        expect(none).toEqual([]);
        const keeps = receiver.headerLength !== 0 && receiver.offloads.checksum;
        expect(short!.header.flags).toBe(keeps ? HeaderFlag.needsChecksum : 0);
        if (keeps) expect(short!.frame).toEqual(frame);
      },
    );
    fc.assert(property);
  });

  it("hands plain frames on, with the receiver's header", () => {
    const property = fc.property(
      fc.uint8Array({ minLength: 14, maxLength: 200 }),
      fc.constantFrom(...receivers),
      fc.constantFrom(...HEADER_LENGTHS),
      (frame, receiver, headerLength) => {
        const framed = embed(frame, headerLength, 0);
        writeHeader(framed, 0, headerLength, emptyHeader());
        const out = translate(receiver, framed, headerLength);
        expect(out).toEqual([{ frame, header: emptyHeader() }]);
      },
    );
    fc.assert(property);
  });
});

describe("bytes that lie", () => {
  const liar = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(
        frameParts,
        fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
        fc.nat(200),
      )
      .map(([parts, changes, removed]) => {
        const frame = buildFrame(parts);
        for (const [at, value] of changes) frame[at % frame.length] = value;
        return frame.subarray(0, Math.max(frame.length - removed, 0));
      }),
  );

  it("neither crash anything nor make it write beyond its target", () => {
    const property = fc.property(liar, anyHeader, fc.boolean(), (frame, header, joinsFirst) => {
      const bytes = embed(frame, 4, 4);
      finishChecksum(bytes, 4, frame.length, { ...header });
      expect([...bytes.subarray(0, 4), ...bytes.subarray(-4)]).toEqual(Array(8).fill(0xaa));
      locateChecksum(bytes, 4, frame.length, { ...header });
      const segmenter = new FrameSegmenter();
      const count = segmenter.begin(bytes, 4, frame.length, header);
      const target = new Uint8Array(segmenter.maxPartBytes + 8).fill(0xaa);
      let longest = 0;
      for (let i = 0; i < count; i++) longest = Math.max(longest, segmenter.next(target, 4));
      expect(longest).toBeLessThanOrEqual(segmenter.maxPartBytes);
      expect(segmenter.next(target, 4)).toBe(0);
      if (count > 0) {
        expect([...target.subarray(0, 4), ...target.subarray(-4)]).toEqual(Array(8).fill(0xaa));
      }
      const joiner = new FrameJoiner();
      if (joinsFirst) joiner.start(new Uint8Array(5000), 1, bytes, 4, frame.length);
      joiner.append(bytes, 4, frame.length);
      joiner.finish(emptyHeader());
    });
    fc.assert(property, { numRuns: 2000 });
  });

  it("do not make the parts more than the frame's payload has bytes", () => {
    const property = fc.property(liar, anyHeader, (frame, header) => {
      const count = new FrameSegmenter().begin(frame, 0, frame.length, header);
      expect(count).toBeLessThanOrEqual(Math.max(frame.length, 1));
    });
    fc.assert(property, { numRuns: 1000 });
  });
});
