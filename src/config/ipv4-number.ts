/** IPv4 addresses as numbers, 0 to 2^32 - 1, for reckoning with networks. */
import { ipAddressFromBytes, type IpAddress } from "../address.js";

/** The address as a number. */
export function toNumber({ bytes: [a = 0, b = 0, c = 0, d = 0] }: IpAddress): number {
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** The number as an address. */
export function fromNumber(number: number): IpAddress {
  return ipAddressFromBytes(
    Uint8Array.of(number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255),
  );
}

/** The bits that a host has of its own under a prefix: 0x000000ff for 24. */
export function hostMask(prefixLength: number): number {
  // A shift by 32 would be one by 0.
  return prefixLength === 32 ? 0 : 0xffffffff >>> prefixLength;
}

/** The network that an address belongs to. */
export function networkOf(address: number, prefixLength: number): number {
  return (address & ~hostMask(prefixLength)) >>> 0;
}
