/**
 * The internet checksum (RFC 1071) in frames: verified, computed, and finished where a header says that it is not.
 *
 * An unfinished checksum is what a guest leaves to its NIC: the checksum field holds the sum of the pseudo header, and header says
 * where to begin adding and where to store. What the header says is taken at its word, but never beyond the frame; who has no such
 * header but knows that the sum is unfinished finds the place by `locateChecksum`. A fragment's checksum is left alone, for it
 * belongs to a packet that is not there as a whole.
 */
import { FrameLayout, get16, IpProtocol, put16 } from "./frame-layout.js";
import {
  ETHERNET_HEADER_LENGTH,
  HeaderFlag,
  MAX_HEADER_FIELD,
  type VirtioNetHeader,
} from "../virtio-net.js";

const TCP_CHECKSUM_OFFSET = 16;
const UDP_CHECKSUM_OFFSET = 6;
const TCP_MIN_BYTES = 20;
const UDP_BYTES = 8;

/** Adds 16-bit words, most significant byte first, to a sum that is not folded; an odd last byte is a word's first. */
export function addBytes(sum: number, bytes: Uint8Array, from: number, end: number): number {
  let total = foldSum(sum);
  let at = from;
  for (; at + 8 <= end; at += 8) {
    total +=
      ((bytes[at]! + bytes[at + 2]! + bytes[at + 4]! + bytes[at + 6]!) << 8) +
      bytes[at + 1]! +
      bytes[at + 3]! +
      bytes[at + 5]! +
      bytes[at + 7]!;
  }
  for (; at + 2 <= end; at += 2) total += get16(bytes, at);
  return at < end ? total + (bytes[at]! << 8) : total;
}

/** Copies bytes and adds them on the way, as {@link addBytes}. */
export function copyAndAdd(
  sum: number,
  bytes: Uint8Array,
  from: number,
  end: number,
  target: Uint8Array,
  to: number,
): number {
  let total = foldSum(sum);
  let at = from;
  let put = to;
  for (; at + 2 <= end; at += 2, put += 2) {
    const high = bytes[at]!;
    const low = bytes[at + 1]!;
    target[put] = high;
    target[put + 1] = low;
    total += (high << 8) | low;
  }
  if (at < end) {
    const high = bytes[at]!;
    target[put] = high;
    total += high << 8;
  }
  return total;
}

/** Folds a sum to 16 bits, its carries added in. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}

/** The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) for a message of so many bytes, not folded. */
export function pseudoHeaderSum(
  bytes: Uint8Array,
  layout: FrameLayout,
  messageBytes: number,
): number {
  const { networkOffset: ip, protocol } = layout;
  const [from, end] = layout.ipVersion === 4 ? [ip + 12, ip + 20] : [ip + 8, ip + 40];
  // A length of more than 16 bits is two words in IPv6.
  return addBytes(protocol + foldSum(messageBytes), bytes, from, end);
}

/** Computes the sum in the IPv4 header anew. */
export function writeIpv4HeaderChecksum(bytes: Uint8Array, at: number): void {
  put16(bytes, at + 10, 0);
  const end = at + (bytes[at]! & 15) * 4;
  put16(bytes, at + 10, ~foldSum(addBytes(0, bytes, at, end)));
}

/** Where in a TCP or UDP header the checksum is; -1 for what has none that we know, or whose header does not lie in the packet. */
export function checksumOffsetOf(layout: FrameLayout): number {
  const bytes = layout.packetEnd - layout.transportOffset;
  if (layout.protocol === IpProtocol.tcp && bytes >= TCP_MIN_BYTES) return TCP_CHECKSUM_OFFSET;
  return layout.protocol === IpProtocol.udp && bytes >= UDP_BYTES ? UDP_CHECKSUM_OFFSET : -1;
}

const scratch = new FrameLayout();

/**
 * Says in `header` where the frame's TCP or UDP checksum is, for one that is known to be unfinished. False, and nothing said, where there
 * is none: another protocol, a fragment, no IP packet; or it is farther from the frame's first byte than a header can say.
 */
export function locateChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  header: VirtioNetHeader,
): boolean {
  if (!scratch.read(bytes, offset, length) || scratch.isFragment) return false;
  const checksumOffset = checksumOffsetOf(scratch);
  const checksumStart = scratch.transportOffset - offset;
  if (checksumOffset < 0 || checksumStart > MAX_HEADER_FIELD) return false;
  header.flags |= HeaderFlag.needsChecksum;
  header.checksumStart = checksumStart;
  header.checksumOffset = checksumOffset;
  return true;
}

/**
 * Finishes the checksum that `header` calls unfinished, in place, and takes the flag away. A frame that is a fragment keeps its checksum.
 * False where the header points outside of the frame: such a frame is to be dropped.
 */
export function finishChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  header: VirtioNetHeader,
): boolean {
  if ((header.flags & HeaderFlag.needsChecksum) === 0) return true;
  const start = offset + header.checksumStart;
  const at = start + header.checksumOffset;
  if (header.checksumStart < ETHERNET_HEADER_LENGTH || at + 2 > offset + length) return false;
  const isIp = scratch.read(bytes, offset, length);
  header.flags &= ~HeaderFlag.needsChecksum;
  if (isIp && scratch.isFragment) return true;
  // Padding behind the packet is no part of it, whatever is in it.
  const end = isIp && at + 2 <= scratch.packetEnd ? scratch.packetEnd : offset + length;
  const sum = ~foldSum(addBytes(0, bytes, start, end)) & 0xffff;
  // 0 would mean "no checksum" to UDP; for all others both stand for the same (RFC 768).
  put16(bytes, at, sum === 0 ? 0xffff : sum);
  return true;
}

/** Whether a TCP or UDP checksum is right; `layout` was read from these bytes and is no fragment. UDP over IPv4 may have none. */
export function hasRightChecksum(bytes: Uint8Array, layout: FrameLayout): boolean {
  const { transportOffset, packetEnd } = layout;
  const at = checksumOffsetOf(layout);
  if (at < 0) return false;
  const isUdp = layout.protocol === IpProtocol.udp;
  if (isUdp && layout.ipVersion === 4 && get16(bytes, transportOffset + at) === 0) return true;
  const sum = pseudoHeaderSum(bytes, layout, packetEnd - transportOffset);
  return foldSum(addBytes(sum, bytes, transportOffset, packetEnd)) === 0xffff;
}
