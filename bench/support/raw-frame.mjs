// TCP segments in IPv4 in Ethernet, of one connection: a frame whose constant parts are written once.

export const GUEST_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
export const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
export const GUEST_ADDRESS = Uint8Array.of(10, 0, 2, 15);
export const GATEWAY_ADDRESS = Uint8Array.of(10, 0, 2, 2);

const HEADERS_BYTES = 54;
/** The payload is this byte, over and over. */
const FILL = 0x78;
const FILL_WORD = (FILL << 8) | FILL;

export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 };

const IP = 14;
const TCP = 34;

/** Length of the virtio-net header that a NIC with offloads has before each frame. */
export const OFFLOAD_HEADER_BYTES = 12;
/** The most that such a NIC sends in one frame: what an IP packet holds. */
const MAX_LONG_PAYLOAD_BYTES = 65_535 - 40;

function put16(frame, at, value) {
  frame[at] = value >>> 8;
  frame[at + 1] = value;
}

function put32(frame, at, value) {
  frame[at] = value >>> 24;
  frame[at + 1] = value >>> 16;
  frame[at + 2] = value >>> 8;
  frame[at + 3] = value;
}

export function get32(bytes, at) {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

function sumWords(bytes, from, to) {
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += (bytes[at] << 8) | bytes[at + 1];
  return sum;
}

/** The Internet checksum (RFC 1071) of a sum of 16-bit words. */
function foldSum(sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** Frames of one connection, all in the same memory: one is written when the one before it was sent. */
export class SegmentWriter {
  /** The longest payload of a frame. */
  maxPayloadBytes;

  /** The memory: the header, if there is one, and the frame. */
  #framed;
  #frame;
  #headerBytes;
  #segmentBytes;
  #identification = 0;

  /** `hasOffloads`: frames have a virtio-net header, may be long, and their checksum is left to do. */
  constructor(localPort, remotePort, segmentBytes, hasOffloads = false) {
    this.#headerBytes = hasOffloads ? OFFLOAD_HEADER_BYTES : 0;
    this.#segmentBytes = segmentBytes;
    this.maxPayloadBytes = hasOffloads
      ? Math.max(MAX_LONG_PAYLOAD_BYTES - (MAX_LONG_PAYLOAD_BYTES % segmentBytes), segmentBytes)
      : segmentBytes;
    this.#framed = new Uint8Array(this.#headerBytes + HEADERS_BYTES + this.maxPayloadBytes);
    const frame = this.#framed.subarray(this.#headerBytes).fill(FILL, HEADERS_BYTES);
    frame.set(GATEWAY_MAC, 0);
    frame.set(GUEST_MAC, 6);
    frame.set([0x08, 0x00, 0x45, 0], 12);
    frame.set([0x40, 0, 64, 6], IP + 6);
    frame.set(GUEST_ADDRESS, IP + 12);
    frame.set(GATEWAY_ADDRESS, IP + 16);
    put16(frame, TCP, localPort);
    put16(frame, TCP + 2, remotePort);
    frame[TCP + 12] = 5 << 4;
    put16(frame, TCP + 18, 0);
    this.#frame = frame;
  }

  /** A segment with `length` bytes of payload. */
  write(flags, sequence, acknowledgement, window, length) {
    this.#writeHeader(flags, sequence, acknowledgement, window);
    this.#finish(20 + length, FILL_WORD * (length >> 1) + (length & 1) * (FILL << 8));
    return this.#upTo(HEADERS_BYTES + length);
  }

  #upTo(end) {
    const framedEnd = this.#headerBytes + end;
    return framedEnd === this.#framed.length ? this.#framed : this.#framed.subarray(0, framedEnd);
  }

  /** A segment with these bytes as payload. */
  writeBytes(flags, sequence, acknowledgement, window, bytes) {
    const end = HEADERS_BYTES + bytes.length;
    const fill = this.#frame.slice(HEADERS_BYTES, end + 1);
    this.#frame.set(bytes, HEADERS_BYTES);
    this.#frame[end] = 0;
    this.#writeHeader(flags, sequence, acknowledgement, window);
    this.#finish(20 + bytes.length, sumWords(this.#frame, HEADERS_BYTES, end));
    const segment = this.#upTo(end).slice();
    this.#frame.set(fill, HEADERS_BYTES);
    return segment;
  }

  /** A SYN that names the largest segment we take (RFC 9293, 3.7.1). */
  writeSyn(sequence, window, segmentBytes) {
    this.#frame[TCP + 12] = 6 << 4;
    const option = [2, 4, segmentBytes >>> 8, segmentBytes & 0xff];
    const syn = this.writeBytes(TcpFlag.syn, sequence, 0, window, option);
    this.#frame[TCP + 12] = 5 << 4;
    return syn;
  }

  #writeHeader(flags, sequence, acknowledgement, window) {
    const frame = this.#frame;
    frame[TCP + 13] = flags;
    put32(frame, TCP + 4, sequence);
    put32(frame, TCP + 8, acknowledgement);
    put16(frame, TCP + 14, window);
  }

  /** The header (virtio 1.2, 5.1.6): the checksum is to be finished, and a long frame cut. */
  #describe(payloadBytes) {
    const isLong = payloadBytes > this.#segmentBytes;
    const size = isLong ? this.#segmentBytes : 0;
    this.#framed.set([1, Number(isLong), HEADERS_BYTES, 0, size & 255, size >> 8, TCP, 0, 16, 0]);
  }

  /** Lengths and checksums. `payloadSum` is over what stands behind the TCP header's first 20 bytes. */
  #finish(tcpLength, payloadSum) {
    const frame = this.#frame;
    this.#identification = (this.#identification + 1) & 0xffff;
    put16(frame, IP + 2, 20 + tcpLength);
    put16(frame, IP + 4, this.#identification);
    put16(frame, IP + 10, 0);
    put16(frame, IP + 10, foldSum(sumWords(frame, IP, TCP)));
    put16(frame, TCP + 16, 0);
    const pseudoHeader = sumWords(frame, IP + 12, TCP) + 6 + tcpLength;
    if (this.#headerBytes > 0) {
      this.#describe(tcpLength - 20);
      put16(frame, TCP + 16, ~foldSum(pseudoHeader));
      return;
    }
    put16(
      frame,
      TCP + 16,
      foldSum(pseudoHeader + sumWords(frame, TCP, HEADERS_BYTES) + payloadSum),
    );
  }
}
