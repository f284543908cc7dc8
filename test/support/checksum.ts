/**
 * The internet checksum (RFC 1071) of packets, written independently of the stack that it checks.
 */
import type { IpFamily } from "../../src/address.js";

/** Sum of 16-bit big-endian words, not folded; an odd last byte counts as a high one. */
function sumWords(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const even = bytes.length & ~1;
  let sum = 0;
  for (let at = 0; at < even; at += 2) sum += view.getUint16(at);
  return even < bytes.length ? sum + (view.getUint8(even) << 8) : sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** The checksum of bytes as they are: 0 where they contain a right one. */
export function checksumOf(bytes: Uint8Array): number {
  return fold(sumWords(bytes));
}

/** What goes before a transport header in its sum (RFC 9293 3.1, RFC 8200 8.1). */
export interface PseudoHeader {
  readonly family: IpFamily;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
}

/** The checksum of a transport message with its pseudo header: 0 where it contains a right one. */
export function transportChecksum(header: PseudoHeader, message: Uint8Array): number {
  const { source, destination, protocol } = header;
  // Both pseudo headers add up the same words, only in another order and with zeros between them.
  const pseudo = sumWords(source) + sumWords(destination) + protocol + message.length;
  return fold(pseudo + sumWords(message));
}
