/** Random rules and networks, as valid as the contracts allow. */
import fc from "fast-check";

import { ipAddressFromBytes, ipEndpoint, type HostEndpoint } from "../../src/address.js";
import type { GuestForward, HostForward } from "../../src/slirp-options.js";

export const ipv4 = fc
  .uint8Array({ minLength: 4, maxLength: 4 })
  .map((bytes) => ipAddressFromBytes(bytes));

export const ipv6 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => ipAddressFromBytes(bytes));

const port = fc.integer({ min: 0, max: 65535 });
const portNotZero = fc.integer({ min: 1, max: 65535 });

const zone = fc.stringMatching(/^[A-Za-z0-9._:@+-]{1,15}$/);

/** Paths with all that could be mistaken for something else: dashes, colons, commas, semicolons, letters of many bytes. */
export const unixEndpoint = fc
  .array(fc.oneof(fc.constantFrom("-", ":", ",", ";", "/", "-:22", "[", "]", "é"), fc.string()), {
    maxLength: 6,
  })
  .map((pieces) => `/${pieces.join("")}`.replaceAll("\0", ""))
  .filter((path) => new TextEncoder().encode(path).length <= 107)
  .map((path): HostEndpoint => ({ family: "unix", path }));

const ipHost: fc.Arbitrary<HostEndpoint> = fc.oneof(
  fc.tuple(ipv4, port).map(([address, number]) => ipEndpoint(address, number)),
  fc.tuple(ipv6, port).map(([address, number]) => ipEndpoint(address, number)),
  fc.tuple(ipv6, port, zone).map(([address, number, name]) => ({
    ...ipEndpoint(address, number),
    zone: name,
  })),
);

const isAny = (address: { address: string }) => ["0.0.0.0", "::"].includes(address.address);

const guestSide = fc
  .record({
    guestAddress: fc.option(
      fc.oneof(ipv4, ipv6).filter((address) => !isAny(address)),
      { nil: undefined },
    ),
    family: fc.constantFrom(4 as const, 6 as const),
    guestPort: portNotZero,
  })
  .map(({ guestAddress, family, guestPort }) => ({
    guestAddress,
    guestFamily: guestAddress?.family ?? family,
    guestPort,
  }));

export const hostForward: fc.Arbitrary<HostForward> = fc
  .tuple(
    fc.oneof(
      fc.record({ protocol: fc.constantFrom("tcp" as const, "udp" as const), host: ipHost }),
      fc.record({ protocol: fc.constant("tcp" as const), host: unixEndpoint }),
    ),
    guestSide,
  )
  .map(([host, guest]) => ({ ...host, ...guest }));

const tcpTarget = fc
  .tuple(fc.oneof(ipv4, ipv6), portNotZero)
  .map(([address, number]): HostEndpoint => ipEndpoint(address, number));

const command = fc
  .string({ minLength: 1 })
  .filter((text) => text.trim() !== "" && !/\0/.test(text));

export const guestForward: fc.Arbitrary<GuestForward> = fc.record({
  serverAddress: ipv4,
  serverPort: portNotZero,
  target: fc.oneof(
    fc.record({
      kind: fc.constant("connect" as const),
      endpoint: fc.oneof(tcpTarget, unixEndpoint),
    }),
    fc.record({ kind: fc.constant("command" as const), commandLine: command }),
  ),
});

/** Texts made of what the grammars are made of: they come much further into a parser than random text. */
export function textOf(...pieces: string[]): fc.Arbitrary<string> {
  return fc
    .array(fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...pieces) }, fc.string()), {
      maxLength: 12,
    })
    .map((parts) => parts.join(""));
}
