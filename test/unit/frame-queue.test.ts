/**
 * The queue of frames against a model: an array with a budget.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HeaderLength } from "../../src/backend.js";
import { FrameQueue } from "../../src/frames/frame-queue.js";
import { HEADER_LENGTHS, prependZeroedHeader } from "../../src/virtio-net.js";
import { framesOf, numberedFrame } from "../support/frames.js";

type Step =
  { kind: "push"; length: number } | { kind: "shift" | "take"; headerLength: HeaderLength };

const headerLength = fc.constantFrom(...HEADER_LENGTHS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("push" as const),
      length: fc.integer({ min: 18, max: 90 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("shift" as const), headerLength }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("take" as const), headerLength }) },
);

describe("FrameQueue", () => {
  it("gives out what was put in, in order and with headers, whatever is done in between", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new FrameQueue({ maxBytes: 600, maxFrames: 7 });
        let waiting: Uint8Array[] = [];
        steps.forEach((current, index) => {
          if (current.kind === "push") {
            const frame = numberedFrame(index, { length: current.length });
            const fits =
              waiting.length < 7 &&
              waiting.reduce((sum, other) => sum + 12 + other.length, 12 + frame.length) <= 600;
            expect(queue.push(frame, 0, frame.length)).toBe(fits);
            if (fits) waiting.push(frame);
          } else if (current.kind === "shift") {
            const target = new Uint8Array(200);
            const expected = waiting.shift();
            const framed = expected
              ? prependZeroedHeader(expected, current.headerLength)
              : new Uint8Array(0);
            expect(queue.peek(current.headerLength)).toBe(framed.length);
            expect(queue.shift(target, current.headerLength)).toBe(framed.length);
            expect(target.slice(0, framed.length)).toEqual(framed);
          } else {
            const batch = queue.take(current.headerLength);
            expect(batch ? framesOf(batch) : []).toEqual(
              waiting.map((frame) => prependZeroedHeader(frame, current.headerLength)),
            );
            waiting = [];
          }
          expect(queue.count).toBe(waiting.length);
        });
      }),
      { numRuns: 500 },
    );
  });

  it("keeps a batch as it is while new frames come, until the next is taken", () => {
    const queue = new FrameQueue();
    const first = numberedFrame(1);
    queue.push(first, 0, first.length);
    const batch = queue.take(12);
    for (let index = 2; index < 20; index++) queue.push(numberedFrame(index), 0, 60);
    expect(batch && framesOf(batch)).toEqual([prependZeroedHeader(first, 12)]);
  });

  it("tells the longest frame that it takes", () => {
    const queue = new FrameQueue({ maxBytes: 1000 });
    expect(queue.push(new Uint8Array(2000), 0, queue.maxFrameBytes + 1)).toBe(false);
    expect(queue.push(new Uint8Array(2000), 0, queue.maxFrameBytes)).toBe(true);
  });
});
