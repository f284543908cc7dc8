/** Ranges of addresses as people write them: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`. */
import { parseIpAddress, type IpAddress, type IpFamily } from "../address.js";

/** Every address that begins with the same `prefixLength` bits. */
export interface IpRange {
  readonly family: IpFamily;
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
}

/** Reads a range; undefined where the text is none. Bits behind the prefix do not matter. */
export function parseIpRange(text: string): IpRange | undefined {
  const [, addressText = "", lengthText] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseIpAddress(addressText);
  if (!address) return undefined;
  const bits = address.bytes.length * 8;
  const prefixLength = lengthText === undefined ? bits : Number(lengthText);
  if (prefixLength > bits) return undefined;
  return { family: address.family, bytes: address.bytes, prefixLength };
}

/** Whether an address is in a range. IPv4 inside IPv6 is IPv6. */
export function isInRange({ family, bytes, prefixLength }: IpRange, address: IpAddress): boolean {
  if (address.family !== family) return false;
  const whole = prefixLength >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== address.bytes[i]) return false;
  const rest = prefixLength & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((bytes[whole] ?? 0) & mask) === ((address.bytes[whole] ?? 0) & mask);
}
