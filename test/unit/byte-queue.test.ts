import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteQueue, CHUNK_BYTES, ChunkPool, type Chunk } from "../../src/byte-queue.js";
import { testBytes } from "../host-network-contract/test-data.js";

function bytesOf(chain: Chunk | undefined): Buffer {
  const pieces: Uint8Array[] = [];
  for (let chunk = chain; chunk; chunk = chunk.next) {
    pieces.push(chunk.bytes.subarray(chunk.start, chunk.end));
  }
  return Buffer.concat(pieces);
}

describe("a queue of bytes", () => {
  it("gives back what was put in, in any pieces", () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer({ min: 0, max: 3 * CHUNK_BYTES }) }),
      fc.record({ read: fc.integer({ min: 0, max: 3 * CHUNK_BYTES }) }),
      fc.constant({ takeAll: true }),
    );
    const property = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const pool = new ChunkPool();
      const queue = new ByteQueue(pool);
      let expected = Buffer.alloc(0);
      for (const [index, act] of steps.entries()) {
        if ("push" in act) {
          const bytes = testBytes(act.push + 2, index + 1);
          queue.push(bytes, 1, bytes.length - 1);
          expected = Buffer.concat([expected, bytes.subarray(1, -1)]);
        } else if ("read" in act) {
          const target = Buffer.alloc(act.read);
          const count = queue.read(target);
          expect(count).toBe(Math.min(act.read, expected.length));
          expect(target.subarray(0, count).equals(expected.subarray(0, count))).toBe(true);
          expected = expected.subarray(count);
        } else {
          const chain = queue.takeAll();
          expect(bytesOf(chain).equals(expected)).toBe(true);
          pool.give(chain);
          expected = Buffer.alloc(0);
        }
        expect(queue.length).toBe(expected.length);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });

  it("puts single bytes behind each other into one chunk", () => {
    const queue = new ByteQueue(new ChunkPool());
    for (let i = 0; i < CHUNK_BYTES; i += 1) queue.push(Buffer.from([i & 0xff]), 0, 1);
    const chain = queue.takeAll();
    expect(chain?.next).toBeUndefined();
    expect(chain?.end).toBe(CHUNK_BYTES);
  });

  it("uses chunks again instead of making new ones", () => {
    const pool = new ChunkPool();
    const queue = new ByteQueue(pool);
    const target = Buffer.alloc(CHUNK_BYTES);
    queue.push(target, 0, CHUNK_BYTES);
    const first = queue.takeAll();
    pool.give(first);
    for (let i = 0; i < 10; i += 1) {
      queue.push(target, 0, CHUNK_BYTES);
      expect(queue.read(target)).toBe(CHUNK_BYTES);
    }
    queue.push(target, 0, 1);
    expect(queue.takeAll()).toBe(first);
  });

  it("forgets what is cleared", () => {
    const queue = new ByteQueue(new ChunkPool());
    queue.push(testBytes(100_000), 0, 100_000);
    queue.clear();
    expect(queue.length).toBe(0);
    expect(queue.read(Buffer.alloc(10))).toBe(0);
  });
});
