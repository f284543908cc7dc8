/**
 * Messages of the kernel, and bytes that are none.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readLink, writeLinkInfo } from "../../src/backends/tap-link.js";
import {
  LITTLE_ENDIAN,
  MessageWriter,
  readAttributes,
  readText,
  splitMessages,
} from "../../src/backends/tap-netlink.js";

describe("netlink messages", () => {
  it("are read as they were written, whatever their attributes", () => {
    const attributes = fc.uniqueArray(
      fc.tuple(fc.integer({ min: 1, max: 0x3fff }), fc.uint8Array({ maxLength: 300 })),
      { selector: ([type]) => type, maxLength: 20 },
    );
    fc.assert(
      fc.property(attributes, (list) => {
        const writer = writeLinkInfo(7);
        for (const [type, bytes] of list) writer.attribute(type, bytes);
        expect(writer.bytes.length % 4).toBe(0);
        expect([...readAttributes(writer.bytes, 16)]).toEqual(list);
      }),
    );
  });

  it("that are random bytes end, and give nothing beyond them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        let total = 0;
        for (const { body } of splitMessages(bytes)) total += body.length;
        expect(total).toBeLessThanOrEqual(bytes.length);
        for (const value of readAttributes(bytes, 0).values()) {
          expect(value.length).toBeLessThanOrEqual(bytes.length);
        }
        if (bytes.length >= 16) readLink(bytes);
      }),
    );
  });

  it("have integers in the machine's byte order", () => {
    const bytes = new MessageWriter().u16(0x1234).u32(7).bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    expect([view.getUint16(0, LITTLE_ENDIAN), view.getUint32(2, LITTLE_ENDIAN)]).toEqual([
      0x1234, 7,
    ]);
  });

  it("have texts that end with their first NUL", () => {
    expect(readText(new TextEncoder().encode("tap0\0rest"))).toBe("tap0");
  });
});
