/**
 * Networks as QEMU's `net=` and `ipv6-net=` have them: `10.0.2.0/24`, `10.0.2.0/255.255.255.0`, `172.16.0.0`,
 * `fec0::/64`.
 *
 * A bare IPv4 network gets its length by QEMU's classes: 8 where the first bit is 0; 12 in 172.16.0.0/12; 16 in the rest of
 * 128.0.0.0/2 and in 192.168.0.0/16; 15 in 198.18.0.0/15. For all others QEMU's classes are mixed up (28 for class C, 24
 * for multicast), so that they are refused here. So is a bare address that its class makes no network of: QEMU cuts
 * 10.0.2.0 down to 10.0.0.0/8, while whoever writes it most likely means a /24.
 *
 * Whether the network makes sense is not asked here: `resolveSlirpOptions` does, for networks from everywhere.
 */
import { ipAddressFromBytes, type IpAddress } from "../address.js";
import { networkOf, toNumber } from "./ipv4-number.js";
import { readAddress } from "./read-address.js";
import { readNumber } from "./read-number.js";
import type { SourceText } from "./source-text.js";

/** A network of either version. */
export interface NetworkText {
  readonly network: IpAddress;
  readonly prefixLength: number;
}

/** Reads `address`, `address/length` or `address/mask`. */
export function readIpv4Network(value: SourceText): NetworkText {
  const slash = value.value.indexOf("/");
  if (slash < 0) return readClassfulNetwork(value);
  const network = readAddress(value.slice(0, slash), 4, "network");
  const length = value.slice(slash + 1);
  if (length.value.includes(".")) return { network, prefixLength: readMask(length) };
  const form = { what: "prefix length", min: 0, max: 32 };
  return { network, prefixLength: readNumber(length, form) };
}

/** Reads `address` or `address/length`; 64 where none is given, as in QEMU. */
export function readIpv6Network(value: SourceText): NetworkText {
  const slash = value.value.indexOf("/");
  if (slash < 0) return { network: readAddress(value, 6, "prefix"), prefixLength: 64 };
  return {
    network: readAddress(value.slice(0, slash), 6, "prefix"),
    prefixLength: readIpv6PrefixLength(value.slice(slash + 1)),
  };
}

/** Reads the length of an IPv6 prefix. */
export function readIpv6PrefixLength(value: SourceText): number {
  return readNumber(value, { what: "prefix length", min: 0, max: 128 });
}

function readMask(text: SourceText): number {
  const mask = toNumber(readAddress(text, 4, "network mask"));
  const prefixLength = Math.clz32(~mask);
  if (networkOf(mask, prefixLength) !== mask) {
    const problem = `the network mask ${text.value} has ones behind zeros`;
    throw text.error(
      problem,
      'write ones, then zeros, such as "255.255.255.0", or a length, such as "24"',
    );
  }
  return prefixLength;
}

function readClassfulNetwork(value: SourceText): NetworkText {
  const network = readAddress(value, 4, "network");
  const number = toNumber(network);
  const prefixLength = classfulLength(network);
  const remedy = `write the length, such as "${network.address}/24"`;
  if (prefixLength === undefined) {
    throw value.error(
      `the network ${network.address} has no prefix length, and no class to tell it`,
      remedy,
    );
  }
  if (networkOf(number, prefixLength) !== number) {
    const problem = `without a length ${network.address} means a /${String(prefixLength)} by its class`;
    throw value.error(`${problem}, and has bits set beyond it`, remedy);
  }
  return { network: ipAddressFromBytes(network.bytes), prefixLength };
}

function classfulLength({ bytes: [first = 0, second = 0] }: IpAddress): number | undefined {
  if (first < 128) return 8;
  if (first === 172 && second >> 4 === 1) return 12;
  if (first < 192) return 16;
  if (first === 192 && second === 168) return 16;
  if (first === 198 && second >> 1 === 9) return 15;
  return undefined;
}
