/** The packets by which a relay opens ports: what is written is read back, and nothing that is read can throw. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ipAddressFromBytes, ipEndpoint } from "../../src/address.js";
import { decodePacket, encodeContinue, WispKind } from "../../src/wisp.js";
import {
  decodeListenOffer,
  decodeListenPacket,
  decodeListenToken,
  decodePeerDatagram,
  encodeBound,
  encodeIncoming,
  encodeListen,
  encodeListenOffer,
  encodeListenToken,
  encodePeerDatagram,
} from "../../src/wisp-listen.js";

const id = fc.nat({ max: 0xffff_ffff });
const port = fc.nat({ max: 65_535 });
const text = fc.string({ unit: "grapheme", maxLength: 60 });

describe("packets for listening", () => {
  it("say the same when they are read back", () => {
    fc.assert(
      fc.property(id, port, text, fc.boolean(), (some, number, address, ipv6Only) => {
        const options = { address, port: number, ipv6Only };
        expect(decodeListenPacket(encodeListen(some, WispKind.udp, options))).toEqual({
          type: "listen",
          id: some,
          kind: WispKind.udp,
          ...options,
        });
        expect(decodeListenPacket(encodeBound(some, 3, number, address))).toEqual({
          type: "bound",
          id: some,
          result: 3,
          port: number,
          text: address,
        });
        const peer = { address, port: number };
        expect(decodeListenPacket(encodeIncoming(some, 77, peer))).toEqual({
          type: "incoming",
          id: some,
          listener: 77,
          ...peer,
        });
      }),
    );
  });

  it("are one of them, malformed, or none, whatever is received", () => {
    const message = fc
      .tuple(fc.constantFrom(0xe0, 0xe1, 0xe2, 0xe3, 0xe4), fc.uint8Array({ maxLength: 40 }))
      .map(([code, rest]) => Uint8Array.of(code, ...rest));
    fc.assert(
      fc.property(message, (bytes) => {
        const packet = decodeListenPacket(bytes);
        const isOurs = bytes.length >= 5 && [0xe1, 0xe2, 0xe3].includes(bytes[0] ?? 0);
        expect(packet !== undefined).toBe(isOurs);
      }),
    );
  });

  it("are unknown to who has not the extension, and Wisp's own are none of them", () => {
    const listen = encodeListen(1, WispKind.tcp, { address: "::1", port: 0, ipv6Only: false });
    expect(decodePacket(listen)).toMatchObject({ type: "unknown", code: 0xe1 });
    expect(decodeListenPacket(encodeContinue(1, 2))).toBeUndefined();
  });
});

describe("datagrams of a port", () => {
  it("name their peer, of either IP version", () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(address, port, fc.uint8Array({ maxLength: 50 }), (bytes, number, payload) => {
        const peer = ipEndpoint(ipAddressFromBytes(bytes), number);
        expect(decodePeerDatagram(encodePeerDatagram(peer, payload))).toEqual({ peer, payload });
      }),
    );
  });

  it("that are none are undefined", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        const length = bytes[0] ?? 0;
        const isOne = (length === 4 || length === 16) && bytes.length >= 3 + length;
        expect(decodePeerDatagram(bytes) !== undefined).toBe(isOne);
      }),
    );
  });
});

describe("what INFO says of listening", () => {
  it("is read back", () => {
    expect(decodeListenOffer(encodeListenOffer(true))).toEqual({ needsToken: true });
    expect(decodeListenOffer(encodeListenOffer(false))).toEqual({ needsToken: false });
    for (const token of ["", "s3cret", "größer"]) {
      expect(decodeListenToken(encodeListenToken(token))).toBe(token);
    }
  });

  it("of another version, or broken, is nothing", () => {
    for (const metadata of [[], [0], [2, 1]]) {
      expect(decodeListenOffer(Uint8Array.from(metadata))).toBeUndefined();
      expect(decodeListenToken(Uint8Array.from(metadata))).toBeUndefined();
    }
    expect(decodeListenToken(Uint8Array.of(1, 0xff))).toBeUndefined();
  });
});
