/**
 * The virtio-net header: the 0, 10 or 12 bytes that may stand before a frame (virtio 1.2, section 5.1.6).
 *
 * NIC and backend agree on its length with `NetBackend.setCapabilities`. Who has no use for what the header says treats it
 * as dead weight: it is cut off on the way in, and on the way out a zeroed one is put in front, which means "this is a
 * plain frame with complete checksums". Both happen here and nowhere else, so that the length is never a magic number.
 */
import type { HeaderLength } from "./backend.js";

/** Every header length there is: none, legacy without and with merged receive buffers (or virtio 1.0 and later). */
export const HEADER_LENGTHS = [0, 10, 12] as const satisfies readonly HeaderLength[];

/** Where the 12 byte header has `num_buffers` (little-endian, 16 bits). */
const NUM_BUFFERS_OFFSET = 10;

/** An Ethernet header: destination, source, type. A frame is never shorter. */
export const ETHERNET_HEADER_LENGTH = 14;

/**
 * Feature bits of virtio-net that backends answer with (virtio 1.2, section 5.1.3), as masks.
 *
 * Only those that concern the header's form; the offloads are not among them because no backend does them.
 */
export const VirtioNetFeature = {
  /** VIRTIO_NET_F_MRG_RXBUF, bit 15: the header has num_buffers, so it is 12 bytes long. */
  mergedReceiveBuffers: 1n << 15n,
} as const;

/** Tells whether a number is one of {@link HEADER_LENGTHS}: for what comes from outside the type system. */
export function isHeaderLength(length: number): length is HeaderLength {
  return (HEADER_LENGTHS as readonly number[]).includes(length);
}

/**
 * Cuts the header off: a view on the frame behind it, not a copy. The view is empty where there is no more than a header.
 */
export function stripHeader(framed: Uint8Array, headerLength: HeaderLength): Uint8Array {
  return headerLength === 0 ? framed : framed.subarray(headerLength);
}

/**
 * Writes a zeroed header at `target[offset]`; at length 12 num_buffers is 1, for a frame that lies in one piece. Answers the
 * offset behind it, where the frame goes. At length 0 it writes nothing.
 */
export function writeZeroedHeader(
  target: Uint8Array,
  offset: number,
  headerLength: HeaderLength,
): number {
  const end = offset + headerLength;
  if (end > target.length) {
    throw new RangeError(
      `a header of ${String(headerLength)} bytes at ${String(offset)} does not fit into ${String(target.length)} bytes`,
    );
  }
  target.fill(0, offset, end);
  if (headerLength === 12) target[offset + NUM_BUFFERS_OFFSET] = 1;
  return end;
}

/** A copy of the frame with a zeroed header in front. For tests and slow paths: it allocates. */
export function prependZeroedHeader(frame: Uint8Array, headerLength: HeaderLength): Uint8Array {
  const framed = new Uint8Array(headerLength + frame.length);
  framed.set(frame, writeZeroedHeader(framed, 0, headerLength));
  return framed;
}
