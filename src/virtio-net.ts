/**
 * The virtio-net header: the 0, 10 or 12 bytes that may stand before a frame (virtio 1.2, section 5.1.6).
 *
 * NIC and backend agree on its length with `NetBackend.setCapabilities`. Who has no use for what the header says treats it
 * as dead weight: it is cut off on the way in, and on the way out a zeroed one is put in front, which means "this is a
 * plain frame with complete checksums". Both happen here and nowhere else, so that the length is never a magic number. Who has
 * a use for it agrees on features; what they mean for a frame is done in `frames/`: `frame-checksum.ts` finishes checksums,
 * `frame-segmenter.ts` cuts long frames, `frame-joiner.ts` joins short ones, `frame-translator.ts` does what a receiver needs.
 */
import type { HeaderLength } from "./backend.js";

/** Every header length there is: none, legacy without and with merged receive buffers (or virtio 1.0 and later). */
export const HEADER_LENGTHS = [0, 10, 12] as const satisfies readonly HeaderLength[];

/** Where the 12 byte header has `num_buffers` (little-endian, 16 bits). */
const NUM_BUFFERS_OFFSET = 10;

/** An Ethernet header: destination, source, type. A frame is never shorter. */
export const ETHERNET_HEADER_LENGTH = 14;

/**
 * Feature bits of virtio-net that backends answer with (virtio 1.2, section 5.1.3), as masks. "guest…" is what the NIC can be
 * handed, the others what it may send.
 */
export const VirtioNetFeature = {
  /** VIRTIO_NET_F_CSUM: frames from the guest may have an unfinished checksum. */
  checksum: 1n << 0n,
  /** VIRTIO_NET_F_GUEST_CSUM: frames towards the guest may. */
  guestChecksum: 1n << 1n,
  /** VIRTIO_NET_F_GUEST_TSO4, TSO6, ECN, UFO: frames towards the guest may be longer than its MTU, to be cut as the header says. */
  guestTso4: 1n << 7n,
  guestTso6: 1n << 8n,
  guestEcn: 1n << 9n,
  guestUfo: 1n << 10n,
  /** VIRTIO_NET_F_HOST_TSO4, TSO6, ECN, UFO: the same of frames from the guest. */
  hostTso4: 1n << 11n,
  hostTso6: 1n << 12n,
  hostEcn: 1n << 13n,
  hostUfo: 1n << 14n,
  /** VIRTIO_NET_F_MRG_RXBUF: the header has num_buffers, so it is 12 bytes long. */
  mergedReceiveBuffers: 1n << 15n,
  /** VIRTIO_NET_F_GUEST_USO4, GUEST_USO6, HOST_USO: UDP datagrams of one size, one behind the other. */
  guestUso4: 1n << 54n,
  guestUso6: 1n << 55n,
  hostUso: 1n << 56n,
} as const;

/** Bits of the header's first byte (virtio 1.2, 5.1.6). */
export const HeaderFlag = {
  /** The checksum is to be finished: from `checksumStart` to the end, stored at `checksumOffset` behind it. */
  needsChecksum: 1,
  /** The checksum was found to be right. */
  dataValid: 2,
} as const;

/** What kind of long frame follows (virtio 1.2, 5.1.6, and `linux/virtio_net.h`), without the bit {@link GSO_ECN}. */
export const GsoType = {
  none: 0,
  tcp4: 1,
  /** UFO: one datagram, to be sent as IP fragments. */
  udpFragments: 3,
  tcp6: 4,
  /** USO: datagrams of one size. */
  udpDatagrams: 5,
} as const;

/** Bit of the GSO type: the first segment has CWR set. */
export const GSO_ECN = 0x80;

/** The largest number that a field of the header has room for. */
export const MAX_HEADER_FIELD = 0xffff;

/** What a header says. Reused from frame to frame: {@link readHeader} fills it in. */
export interface VirtioNetHeader {
  /** Of {@link HeaderFlag}. */
  flags: number;
  /** Of {@link GsoType}, perhaps with {@link GSO_ECN}. */
  gsoType: number;
  /** Length of Ethernet, IP and TCP or UDP header together. A hint: nothing may rely on it. */
  headerBytes: number;
  /** Payload of each segment but the last. */
  segmentBytes: number;
  /** From the frame's first byte. */
  checksumStart: number;
  /** From `checksumStart` on: where the finished checksum is stored. */
  checksumOffset: number;
}

/** A header that says nothing. */
export function emptyHeader(): VirtioNetHeader {
  return {
    flags: 0,
    gsoType: GsoType.none,
    headerBytes: 0,
    segmentBytes: 0,
    checksumStart: 0,
    checksumOffset: 0,
  };
}

/** Makes a header say nothing again. */
export function clearHeader(header: VirtioNetHeader): void {
  header.flags = header.gsoType = header.headerBytes = header.segmentBytes = 0;
  header.checksumStart = header.checksumOffset = 0;
}

/**
 * Reads the header at `bytes[offset]` into `header`; at length 0 there is none, which says nothing. The fields are little-endian, as virtio
 * 1.0 has them; legacy devices of a big-endian machine have the others. False where the header does not lie in `bytes` as a whole.
 */
export function readHeader(
  bytes: Uint8Array,
  offset: number,
  headerLength: HeaderLength,
  header: VirtioNetHeader,
  littleEndian = true,
): boolean {
  clearHeader(header);
  if (headerLength === 0) return true;
  if (offset < 0 || offset + headerLength > bytes.length) return false;
  const low = littleEndian ? 0 : 1;
  const field = (at: number): number =>
    bytes[offset + at + low]! | (bytes[offset + at + 1 - low]! << 8);
  header.flags = bytes[offset]!;
  header.gsoType = bytes[offset + 1]!;
  header.headerBytes = field(2);
  header.segmentBytes = field(4);
  header.checksumStart = field(6);
  header.checksumOffset = field(8);
  return true;
}

/** Writes a header before a frame, in the byte order of {@link readHeader}. Answers the offset behind it. */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  headerLength: HeaderLength,
  header: Readonly<VirtioNetHeader>,
  littleEndian = true,
): number {
  const end = writeZeroedHeader(target, offset, headerLength);
  if (headerLength === 0) return end;
  const low = littleEndian ? 0 : 1;
  const put = (at: number, value: number): void => {
    target[offset + at + low] = value;
    target[offset + at + 1 - low] = value >>> 8;
  };
  target[offset] = header.flags;
  target[offset + 1] = header.gsoType;
  put(2, header.headerBytes);
  put(4, header.segmentBytes);
  put(6, header.checksumStart);
  put(8, header.checksumOffset);
  if (headerLength === 12) put(NUM_BUFFERS_OFFSET, 1);
  return end;
}

/** Tells whether a number is one of {@link HEADER_LENGTHS}: for what comes from outside the type system. */
export function isHeaderLength(length: number): length is HeaderLength {
  return (HEADER_LENGTHS as readonly number[]).includes(length);
}

/**
 * Why these features cannot be set where those are available; undefined where they can. Long frames have unfinished checksums, so
 * that each way needs the feature for them (virtio 1.2, 5.1.3.1).
 */
export function featureConflict(features: bigint, available: bigint): string | undefined {
  const { checksum, hostTso4, hostTso6, hostUfo, hostUso } = VirtioNetFeature;
  const { guestChecksum, guestTso4, guestTso6 } = VirtioNetFeature;
  const unknown = features & ~available;
  if (unknown !== 0n) return `it has no features 0x${unknown.toString(16)}`;
  const longFromGuest = hostTso4 | hostTso6 | hostUfo | hostUso;
  if ((features & longFromGuest) !== 0n && (features & checksum) === 0n) {
    return "long frames from the guest need the feature checksum (bit 0)";
  }
  if ((features & (guestTso4 | guestTso6)) !== 0n && (features & guestChecksum) === 0n) {
    return "long frames towards the guest need the feature guestChecksum (bit 1)";
  }
  return undefined;
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
