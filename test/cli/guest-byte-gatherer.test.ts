import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ByteGatherer } from "../../src/cli/guest-byte-gatherer.js";

describe("ByteGatherer", () => {
  it("hands on the bytes of a turn as one piece", async () => {
    const pieces: Uint8Array[] = [];
    const gatherer = new ByteGatherer((bytes) => pieces.push(bytes));
    for (let byte = 0; byte < 1000; byte++) gatherer.push(byte & 0xff);
    expect(pieces).toEqual([]);
    await nextTurn();
    expect(pieces).toEqual([Uint8Array.from({ length: 1000 }, (_, index) => index & 0xff)]);
    gatherer.push(7);
    await nextTurn();
    expect(pieces[1]).toEqual(Uint8Array.of(7));
  });

  it("hands on at once when asked to, and nothing twice", async () => {
    const pieces: Uint8Array[] = [];
    const gatherer = new ByteGatherer((bytes) => pieces.push(bytes));
    gatherer.push(1);
    gatherer.flush();
    gatherer.flush();
    expect(pieces).toEqual([Uint8Array.of(1)]);
    await nextTurn();
    expect(pieces).toHaveLength(1);
  });

  it("does not let a flood within a turn pile up", () => {
    const pieces: Uint8Array[] = [];
    const gatherer = new ByteGatherer((bytes) => pieces.push(bytes));
    for (let count = 0; count < 100_000; count++) gatherer.push(count & 0xff);
    gatherer.flush();
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(16 * 1024);
    const joined = Buffer.concat(pieces);
    expect(joined).toHaveLength(100_000);
    expect(joined.every((byte, index) => byte === (index & 0xff))).toBe(true);
  });
});
