/** Wisp's packets and extensions: what is written is read again, and nothing that comes can do harm. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeKeyAnswer,
  decodeKeyOffer,
  decodePassword,
  decodePasswordOffer,
  decodeStreamControl,
  encodeKeyAnswer,
  encodeKeyOffer,
  encodePassword,
  encodePasswordOffer,
  encodeStreamControl,
} from "../../src/wisp-extensions.js";
import {
  decodePacket,
  encodeClose,
  encodeConnect,
  encodeContinue,
  encodeData,
  encodeInfo,
  WISP_HEADER_BYTES,
  WispKind,
} from "../../src/wisp.js";

const id = fc.integer({ min: 0, max: 0xffff_ffff });
const port = fc.integer({ min: 0, max: 65_535 });
const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
const kind = fc.constantFrom(...Object.values(WispKind));
const metadata = fc.uint8Array({ maxLength: 40 });

describe("a packet", () => {
  it("of CONNECT says what it was told", () => {
    fc.assert(
      fc.property(id, kind, host, port, (streamId, type, name, number) => {
        expect(decodePacket(encodeConnect(streamId, type, name, number))).toEqual({
          type: "connect",
          streamId,
          kind: type,
          host: name,
          port: number,
        });
      }),
    );
  });

  it("of DATA, CONTINUE, CLOSE and INFO too", () => {
    const extension = fc.record({ id: fc.integer({ min: 0, max: 255 }), metadata });
    fc.assert(
      fc.property(id, metadata, fc.array(extension), (streamId, payload, extensions) => {
        expect(decodePacket(encodeData(streamId, payload))).toEqual({
          type: "data",
          streamId,
          payload,
        });
        expect(decodePacket(encodeContinue(streamId, 77))).toMatchObject({ streamId, credits: 77 });
        expect(decodePacket(encodeClose(streamId, 0x48))).toMatchObject({ streamId, reason: 0x48 });
        const info = { type: "info", streamId: 0, major: 2, minor: 0, extensions };
        expect(decodePacket(encodeInfo(extensions))).toEqual(info);
      }),
    );
  });

  it("is as the protocol's text has it, byte by byte", () => {
    // Little-endian: type, stream, kind, port 80 (0x0050), the name.
    const bytes = encodeConnect(0x01020304, WispKind.udp, "a.b", 80);
    expect([...bytes]).toEqual([1, 4, 3, 2, 1, 2, 80, 0, 0x61, 0x2e, 0x62]);
    expect([...encodeContinue(0, 128)]).toEqual([3, 0, 0, 0, 0, 128, 0, 0, 0]);
    expect([...encodeInfo([{ id: 1, metadata: new Uint8Array() }])]).toEqual([
      5, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0,
    ]);
  });

  it("may be anything: it is read, or told what is wrong with it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const packet = decodePacket(bytes);
        if (bytes.length < WISP_HEADER_BYTES) expect(packet.type).toBe("malformed");
        if (packet.type === "malformed") expect(packet.problem).not.toBe("");
        if (packet.type === "connect") expect(packet.host.includes("\0")).toBe(false);
      }),
    );
  });

  it("may be a view on something larger", () => {
    const whole = new Uint8Array(100).fill(0xee);
    const packet = encodeConnect(5, WispKind.tcp, "example.org", 443);
    whole.set(packet, 33);
    expect(decodePacket(whole.subarray(33, 33 + packet.length))).toMatchObject({
      host: "example.org",
      port: 443,
    });
  });
});

describe("an extension's metadata", () => {
  it("has user and password, by either draft", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    const long = fc.oneof(text, fc.string({ minLength: 250, maxLength: 600 }));
    fc.assert(
      fc.property(text, long, (user, password) => {
        expect(decodePassword(encodePassword({ user, password }))).toContainEqual({
          user,
          password,
        });
        expect(decodePassword(encodePassword({ user, password }, 5))).toContainEqual({
          user,
          password,
        });
        const [name, secret] = [Buffer.from(user), Buffer.from(password)];
        const draft5 = Buffer.concat([
          Buffer.from([name.length, secret.length & 0xff, secret.length >> 8]),
          name,
          secret,
        ]);
        expect(decodePassword(draft5)).toContainEqual({ user, password });
        expect(Buffer.from(encodePassword({ user, password }, 5))).toEqual(draft5);
      }),
    );
    expect(() => encodePassword({ user: "x".repeat(256), password: "" })).toThrow(RangeError);
    expect(() => encodePassword({ user: "", password: "x".repeat(65_536) }, 5)).toThrow(RangeError);
    expect(decodePasswordOffer(encodePasswordOffer(true))).toBe(true);
    expect(decodePasswordOffer(encodePasswordOffer(false))).toBe(false);
    expect(decodePasswordOffer(new Uint8Array())).toBe(false);
  });

  it("has a challenge, and its signature", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.boolean(), (challenge, required) => {
        const offer = { required, algorithms: 1, challenge };
        expect(decodeKeyOffer(encodeKeyOffer(offer))).toEqual(offer);
        const answer = {
          algorithm: 1,
          publicKeyHash: new Uint8Array(32).fill(7),
          signature: challenge,
        };
        expect(decodeKeyAnswer(encodeKeyAnswer(answer))).toEqual(answer);
      }),
    );
    expect(decodeKeyOffer(Uint8Array.of(1, 1))).toBeUndefined();
    expect(decodeKeyAnswer(new Uint8Array(33))).toBeUndefined();
  });

  it("has a window, in the version that we speak", () => {
    expect(decodeStreamControl(encodeStreamControl(262_144))).toEqual({ windowBytes: 262_144 });
    expect(decodeStreamControl(Uint8Array.of(2, 0, 0, 4, 0))).toBeUndefined();
    expect(decodeStreamControl(encodeStreamControl(0))).toBeUndefined();
    expect(decodeStreamControl(new Uint8Array(4))).toBeUndefined();
  });

  it("may be anything", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        decodePassword(bytes);
        decodeKeyOffer(bytes);
        decodeKeyAnswer(bytes);
        decodeStreamControl(bytes);
      }),
    );
  });
});
