/** Parcels: what is put in comes out, whatever the batch looks like; buffers are credits. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FrameBatch } from "../../src/backend.js";
import {
  PARCEL_BYTES,
  ParcelKind,
  ParcelReader,
  ParcelWord,
  wordsOf,
} from "../../src/worker/parcel.js";
import { ParcelSender } from "../../src/worker/parcel-sender.js";
import { batchOf, framesOf, numberedFrame } from "../support/frames.js";

const PARCELS = 8;
const LONGEST_BYTES = 65_601;

/** A port that keeps what is sent. */
class KeptPort {
  readonly sent: ArrayBuffer[] = [];

  postMessage(buffer: ArrayBuffer, transfer: ArrayBuffer[]): void {
    this.sent.push(structuredClone(buffer, { transfer }));
  }

  /** All frames that were sent, in order. */
  frames(): Uint8Array[] {
    const reader = new ParcelReader();
    return this.sent.flatMap((buffer) => {
      reader.open(buffer);
      return framesOf(reader.takeRest());
    });
  }
}

function makeSender(): { sender: ParcelSender; port: KeptPort } {
  const port = new KeptPort();
  return { port, sender: new ParcelSender(port, () => undefined) };
}

/** Frames anywhere in one memory: in any order, with gaps, some on top of each other. */
const anyBatch: fc.Arbitrary<FrameBatch> = fc
  .array(
    fc.record({
      offset: fc.oneof(fc.nat(300_000), fc.constant(undefined)),
      gap: fc.nat(130),
      length: fc.oneof(
        fc.integer({ min: 14, max: 1600 }),
        fc.integer({ min: 14, max: LONGEST_BYTES }),
      ),
    }),
    { maxLength: 60 },
  )
  .map((places) => {
    let at = 0;
    const offsets = places.map(({ offset, gap, length }) => {
      const start = offset ?? at + gap;
      at = start + length;
      return start;
    });
    const lengths = places.map(({ length }) => length);
    const end = Math.max(0, ...offsets.map((offset, i) => offset + (lengths[i] ?? 0)));
    const bytes = Uint8Array.from({ length: end }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    return {
      bytes,
      count: places.length,
      offsets: Uint32Array.from(offsets),
      lengths: Uint32Array.from(lengths),
    };
  });

describe("a batch of frames", () => {
  it("comes out as it was put in, wherever its frames lie", () => {
    fc.assert(
      fc.property(anyBatch, (batch) => {
        const { sender, port } = makeSender();
        for (let i = 0; i < batch.count;) {
          const put = sender.putRun(batch, i, batch.count, true);
          expect(put).toBeGreaterThan(0);
          i += put;
        }
        sender.flush();
        expect(port.frames()).toEqual(framesOf(batch));
      }),
      { numRuns: 30 },
    );
  });

  it("goes in one piece where its frames lie side by side", () => {
    const { sender } = makeSender();
    const batch = batchOf(
      Array.from({ length: 50 }, (_, i) => numberedFrame(i, { length: 60 + i })),
    );
    expect(sender.putRun(batch, 0, batch.count, false)).toBe(50);
  });

  it("can be read in part, and the rest taken as a batch", () => {
    const { sender, port } = makeSender();
    const frames = Array.from({ length: 5 }, (_, i) => numberedFrame(i, { length: 100 * (i + 1) }));
    for (const frame of frames) sender.put(frame);
    sender.flush();
    const reader = new ParcelReader();
    reader.open(port.sent[0] ?? new ArrayBuffer());
    const target = new Uint8Array(reader.peek());
    reader.take(target);
    expect(target).toEqual(frames[0]);
    reader.skip(1);
    expect(framesOf(reader.takeRest())).toEqual(frames.slice(2));
  });
});

describe("credits", () => {
  it("bound what is under way, and come back with the buffers", () => {
    const { sender, port } = makeSender();
    const frame = new Uint8Array(LONGEST_BYTES);
    let taken = 0;
    while (sender.put(frame)) taken++;
    sender.flush();
    expect(port.sent).toHaveLength(PARCELS);
    expect(taken).toBe(PARCELS * Math.floor(PARCEL_BYTES / LONGEST_BYTES));
    expect(sender.hasRoom).toBe(false);
    expect(sender.putGathered([frame], frame.length)).toBe(false);
    sender.takeBack(port.sent[0] ?? new ArrayBuffer());
    expect(sender.put(frame)).toBe(true);
  });

  it("are not needed by force, and do not grow by it", () => {
    const { sender, port } = makeSender();
    const batch = batchOf(Array.from({ length: 30 }, () => new Uint8Array(LONGEST_BYTES)));
    for (let i = 0; i < batch.count;) i += sender.putRun(batch, i, batch.count, true);
    sender.flush();
    expect(port.sent.length).toBeGreaterThan(PARCELS);
    for (const buffer of port.sent.splice(0)) sender.takeBack(buffer);
    const frame = new Uint8Array(LONGEST_BYTES);
    while (sender.put(frame));
    sender.flush();
    expect(port.sent).toHaveLength(PARCELS);
  });

  it("are given back with the same buffer, marked as empty", () => {
    const { sender, port } = makeSender();
    const buffer = new ArrayBuffer(PARCEL_BYTES);
    sender.giveBack(buffer);
    expect(buffer.byteLength, "it was transferred").toBe(0);
    const [back] = port.sent;
    expect(wordsOf(back ?? new ArrayBuffer())[ParcelWord.kind]).toBe(ParcelKind.returned);
  });
});
