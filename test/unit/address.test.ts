import { isIPv4, isIPv6 } from "node:net";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  formatEndpoint,
  ipAddress,
  ipAddressFromBytes,
  ipEndpoint,
  parseIpAddress,
} from "../../src/address.js";

/** Browsers and Node write IPv6 hosts by the same rule as RFC 5952: an independent second opinion. */
function urlHost(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Zeros are made likely, so that runs of them are there to be shortened. */
const ipv6Bytes = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

/** Texts that are nearly addresses. */
const addressLike = fc
  .array(fc.constantFrom("0", "1", "255", "256", "01", "ffff", "10000", ":", "::", ".", "%", "g"), {
    maxLength: 17,
  })
  .map((pieces) => pieces.join(""));

describe("parseIpAddress", () => {
  it.each([
    ["0.0.0.0", [0, 0, 0, 0]],
    ["10.0.2.15", [10, 0, 2, 15]],
    ["255.255.255.255", [255, 255, 255, 255]],
  ])("reads the IPv4 address %s", (text, bytes) => {
    expect(parseIpAddress(text)).toEqual({
      family: 4,
      address: text,
      bytes: Uint8Array.from(bytes),
    });
  });

  it.each([
    ["::", "::"],
    ["::1", "::1"],
    ["fec0::2", "fec0::2"],
    ["FE80::ABCD", "fe80::abcd"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:1.2.3.4", "::ffff:102:304"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ])("reads the IPv6 address %s as %s", (text, address) => {
    expect(parseIpAddress(text)).toMatchObject({ family: 6, address });
  });

  it("keeps the dotted end of an IPv6 address apart from an IPv4-mapped one", () => {
    expect(parseIpAddress("::1.2.3.4")?.bytes).toEqual(
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
    );
  });

  it.each([
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.04",
    "1.2.3.0x4",
    " 1.2.3.4",
    "1.2.3.4 ",
    "1.2.3.4\n",
    "1.2.3.-4",
    "+1.2.3.4",
    "16909060",
    "1.2.3.1000",
    "::1%eth0",
    "[::1]",
    ":",
    ":::",
    "1::2::3",
    "12345::",
    "::g",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::ffff:01.2.3.4",
    "::ffff:0x1.2.3.4",
    "::ffff:1.2.3",
    "::1.2.3.4:5",
    "::1\n",
  ])("answers undefined for %j", (text) => {
    expect(parseIpAddress(text)).toBeUndefined();
  });

  it("agrees with Node on what is an address", () => {
    fc.assert(
      fc.property(fc.oneof(addressLike, fc.string()), (text) => {
        const family = parseIpAddress(text)?.family;
        // Node takes a zone as part of an IPv6 address; here it is kept apart.
        const expected = isIPv4(text) ? 4 : isIPv6(text) && !text.includes("%") ? 6 : undefined;
        expect(family).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it("reads back what was printed, IPv4 and IPv6", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4Bytes, ipv6Bytes), (bytes) => {
        const printed = ipAddressFromBytes(bytes);
        expect(printed.bytes).toEqual(bytes);
        expect(parseIpAddress(printed.address)).toEqual(printed);
      }),
    );
  });

  it("prints IPv6 as RFC 5952 has it", () => {
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        const { address } = ipAddressFromBytes(bytes);
        expect(address).toBe(urlHost(address));
      }),
    );
  });
});

describe("ipAddressFromBytes", () => {
  it("copies the bytes", () => {
    const bytes = Uint8Array.of(10, 0, 2, 2);
    const address = ipAddressFromBytes(bytes);
    bytes[3] = 9;
    expect(address.bytes).toEqual(Uint8Array.of(10, 0, 2, 2));
  });

  it.each([0, 3, 5, 15, 17])("throws a RangeError for %i bytes", (length) => {
    expect(() => ipAddressFromBytes(new Uint8Array(length))).toThrow(RangeError);
  });
});

describe("ipAddress and ipEndpoint", () => {
  it("throw a RangeError that quotes what is not an address", () => {
    expect(() => ipAddress("localhost")).toThrow(/"localhost"/);
    expect(() => ipAddress("localhost")).toThrow(RangeError);
    expect(() => ipEndpoint("nowhere%eth0", 1)).toThrow(RangeError);
  });

  it("puts a port to an address, given as text or parsed", () => {
    expect(ipEndpoint("127.0.0.1", 80)).toEqual({ ...ipAddress("127.0.0.1"), port: 80 });
    expect(ipEndpoint(ipAddress("::1"), 80)).toEqual(ipEndpoint("::1", 80));
  });

  it("keeps a zone apart from the address", () => {
    expect(ipEndpoint("fe80::1%eth0", 80)).toMatchObject({ address: "fe80::1", zone: "eth0" });
    expect(ipEndpoint("fe80::1", 80)).not.toHaveProperty("zone");
  });
});

describe("formatEndpoint", () => {
  it.each([
    [ipEndpoint("127.0.0.1", 80), "127.0.0.1:80"],
    [ipEndpoint("::1", 80), "[::1]:80"],
    [ipEndpoint("fe80::1%eth0", 0), "[fe80::1%eth0]:0"],
    [{ family: "unix", path: "/run/a.sock" } as const, "unix:/run/a.sock"],
  ])("writes an endpoint the way people do", (endpoint, text) => {
    expect(formatEndpoint(endpoint)).toBe(text);
  });
});
