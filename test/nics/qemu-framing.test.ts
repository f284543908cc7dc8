/**
 * QEMU's framing: what was framed comes out, however the stream is cut.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import {
  encodeStreamFrames,
  MAX_STREAM_FRAME_BYTES,
  StreamFrameParser,
} from "../../src/nics/qemu-framing.js";
import { batchOf, framesOf, numberedFrame } from "../support/frames.js";

/** Feeds the stream in the given pieces and collects copies of the frames. */
function parse(parser: StreamFrameParser, chunks: readonly Uint8Array[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const chunk of chunks) {
    parser.push(chunk);
    for (let batch = parser.next(); batch; batch = parser.next()) frames.push(...framesOf(batch));
  }
  return frames;
}

/** Cuts at the given places (taken modulo the length). */
function cut(stream: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (stream.length + 1)), stream.length];
  ends.sort((a, b) => a - b);
  let start = 0;
  return ends.map((end) => {
    const chunk = stream.slice(start, end);
    start = end;
    return chunk;
  });
}

function lengthPrefix(length: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

describe("StreamFrameParser", () => {
  it("gives the frames that were encoded, for any frames and any chunks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 60 }),
        (frames, places) => {
          const stream = encodeStreamFrames(batchOf(frames));
          const parser = new StreamFrameParser();
          expect(parse(parser, cut(stream, places))).toEqual(frames);
          expect(parser.isWithinFrame).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("gives them byte by byte", () => {
    const frames = [1, 2, 3].map((index) => numberedFrame(index));
    const stream = encodeStreamFrames(batchOf(frames));
    const bytes = Array.from(stream, (_, i) => stream.subarray(i, i + 1));
    expect(parse(new StreamFrameParser(), bytes)).toEqual(frames);
  });

  it("hands on whole frames where they are, without a copy", () => {
    const stream = encodeStreamFrames(batchOf([numberedFrame(1), numberedFrame(2)]));
    const parser = new StreamFrameParser();
    parser.push(stream);
    const batch = parser.next();
    expect(batch?.count).toBe(2);
    expect(batch?.bytes.buffer).toBe(stream.buffer);
  });

  it("takes thousands of small frames in one chunk", () => {
    const frames = Array.from({ length: 5000 }, (_, i) => Uint8Array.of(i & 0xff));
    const stream = encodeStreamFrames(batchOf(frames));
    expect(parse(new StreamFrameParser(), [stream])).toEqual(frames);
  });

  it("takes frames up to QEMU's bound, and not a byte more", () => {
    const longest = new Uint8Array(MAX_STREAM_FRAME_BYTES).fill(7);
    const stream = encodeStreamFrames(batchOf([longest]));
    expect(parse(new StreamFrameParser(), cut(stream, [2, 5000]))).toEqual([longest]);
    expect(() =>
      parse(new StreamFrameParser(), [lengthPrefix(MAX_STREAM_FRAME_BYTES + 1)]),
    ).toThrow(expect.objectContaining({ code: ErrorCode.protocolViolation }));
  });

  it("refuses a length that cannot be, wherever it is cut, after the frames before it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 5 }),
        fc.oneof(fc.constant(0), fc.integer({ min: 2001, max: 0xffffffff })),
        fc.array(fc.nat(), { maxLength: 20 }),
        (frames, badLength, places) => {
          const good = encodeStreamFrames(batchOf(frames));
          const stream = Buffer.concat([good, lengthPrefix(badLength), Buffer.alloc(10)]);
          const parser = new StreamFrameParser(2000);
          const seen: Uint8Array[] = [];
          expect(() => {
            for (const chunk of cut(stream, places)) {
              parser.push(chunk);
              for (let batch = parser.next(); batch; batch = parser.next()) {
                seen.push(...framesOf(batch));
              }
            }
          }).toThrow(expect.objectContaining({ code: ErrorCode.protocolViolation }));
          expect(seen).toEqual(frames);
        },
      ),
    );
  });

  it("names the length and what would be right", () => {
    expect(() => parse(new StreamFrameParser(1514), [lengthPrefix(70_000)])).toThrow(
      /70000.*1 to 1514/,
    );
  });

  it("tells that it is within a frame", () => {
    const parser = new StreamFrameParser();
    const stream = encodeStreamFrames(batchOf([numberedFrame(1)]));
    parse(parser, [stream.subarray(0, 3)]);
    expect(parser.isWithinFrame).toBe(true);
    parse(parser, [stream.subarray(3)]);
    expect(parser.isWithinFrame).toBe(false);
  });
});
