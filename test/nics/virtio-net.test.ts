/**
 * Headers and MAC addresses: the small pure parts that NICs and backends share.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatMac,
  isBroadcast,
  isGroupAddress,
  readMac,
  writeMac,
} from "../../src/frames/mac-address.js";
import {
  HEADER_LENGTHS,
  isHeaderLength,
  prependZeroedHeader,
  stripHeader,
  writeZeroedHeader,
} from "../../src/virtio-net.js";

describe("the virtio-net header", () => {
  it("is cut off again without a trace", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom(...HEADER_LENGTHS), (frame, headerLength) => {
        const framed = prependZeroedHeader(frame, headerLength);
        expect(framed).toHaveLength(headerLength + frame.length);
        expect(stripHeader(framed, headerLength)).toEqual(frame);
      }),
    );
  });

  it("is zero, but num_buffers is 1 at length 12", () => {
    const frame = Uint8Array.of(0xff);
    expect(prependZeroedHeader(frame, 0)).toEqual(frame);
    expect([...prependZeroedHeader(frame, 10)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
    expect([...prependZeroedHeader(frame, 12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff]);
  });

  it("overwrites what was there", () => {
    const target = new Uint8Array(14).fill(0xaa);
    expect(writeZeroedHeader(target, 1, 12)).toBe(13);
    expect([...target]).toEqual([0xaa, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xaa]);
  });

  it("is not written where it does not fit", () => {
    expect(() => writeZeroedHeader(new Uint8Array(12), 1, 12)).toThrow(RangeError);
  });

  it("has three lengths", () => {
    expect([...Array(14).keys()].filter(isHeaderLength)).toEqual([0, 10, 12]);
  });
});

describe("a MAC address", () => {
  const macBytes = fc.uint8Array({ minLength: 6, maxLength: 6 });

  it("as a number and back is the same", () => {
    fc.assert(
      fc.property(macBytes, (bytes) => {
        const copy = new Uint8Array(8);
        writeMac(copy, 1, readMac(bytes, 0));
        expect(copy.subarray(1, 7)).toEqual(bytes);
      }),
    );
  });

  it("is written as people do", () => {
    expect(formatMac(readMac(Uint8Array.of(0, 0x54, 0, 1, 0xab, 0xff), 0))).toBe(
      "00:54:00:01:ab:ff",
    );
  });

  it("is a group's by its first bit", () => {
    fc.assert(
      fc.property(macBytes, (bytes) => {
        expect(isGroupAddress(bytes, 0)).toBe((bytes[0] ?? 0) % 2 === 1);
        expect(isBroadcast(bytes, 0)).toBe(bytes.every((byte) => byte === 255));
      }),
    );
    expect(isBroadcast(new Uint8Array(6).fill(255), 0)).toBe(true);
  });
});
