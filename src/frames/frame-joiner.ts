/**
 * Joins frames that follow each other in one flow into a long one (GRO): TCP segments, or UDP datagrams of one size.
 *
 * Joined is only what `FrameSegmenter` would cut into the very same frames again: checksums that are right, headers that differ in
 * nothing but sequence number, length, IPv4's id going up by one, and the flags that belong to the first or last segment. So joining is
 * never seen, and what does not fit is handed on as it is. The caller owns the buffer: `start` copies a first frame into it, `append` adds
 * to it for as long as frames fit, `finish` completes headers and says what they are.
 */
import {
  addBytes,
  checksumOffsetOf,
  foldSum,
  hasRightChecksum,
  pseudoHeaderSum,
  writeIpv4HeaderChecksum,
} from "./frame-checksum.js";
import type { Offloads } from "./frame-translator.js";
import { FrameLayout, get16, IpProtocol, put16 } from "./frame-layout.js";
import {
  clearHeader,
  GSO_ECN,
  GsoType,
  HeaderFlag,
  MAX_HEADER_FIELD,
  type VirtioNetHeader,
} from "../virtio-net.js";

const TCP_FIN = 1;
const TCP_PSH = 8;
const TCP_ACK = 16;
const TCP_ECE = 0x40;
const TCP_CWR = 0x80;
const TCP_FLAGS_OFFSET = 13;
const UDP_BYTES = 8;
/** Length and id of IPv4, length of IPv6: what parts of one frame differ in, from the IP header's first byte, up to `end`. */
const IPV4_VARYING = { from: 2, end: 6 } as const;
const IPV6_VARYING = { from: 4, end: 6 } as const;
const IPV4_CHECKSUM = { from: 10, end: 12 } as const;
/** The longest IP packet. */
const MAX_PACKET_BYTES = 65535;
/** Linux takes no more in one USO frame (UDP_MAX_SEGMENTS). */
const MAX_DATAGRAMS = 64;

const EVERYTHING: Offloads = {
  checksum: true,
  tcp4: true,
  tcp6: true,
  ecn: true,
  udpFragments: true,
  udpDatagrams: true,
};

/** Joins frames of one flow into a long one, as long as `FrameSegmenter` would cut that into the very same frames (GRO). */
export class FrameJoiner {
  /** Frames joined so far; 0 while nothing is begun. */
  count = 0;

  private readonly first = new FrameLayout();
  private readonly next = new FrameLayout();
  private target: Uint8Array = new Uint8Array();
  private offset = 0;
  private length = 0;
  private headersEnd = 0;
  private segmentBytes = 0;
  /** No more can follow: the last part was short, or said that it is the last. */
  private isComplete = false;
  private lastFlags = 0;

  /** @param offloads which long frames may come of it. Default: all. */
  constructor(private readonly offloads: Offloads = EVERYTHING) {}

  /**
   * Begins with a copy of a frame at `target[at]`, which is the joiner's until `finish`. False where it is none that others could join, or
   * it does not fit; then nothing is begun.
   */
  start(
    target: Uint8Array,
    at: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    this.count = 0;
    const { first } = this;
    if (at + length > target.length || !first.read(bytes, offset, length)) return false;
    const headersEnd = joinableHeadersEnd(bytes, first);
    const payloadBytes = first.packetEnd - headersEnd;
    if (headersEnd === 0 || payloadBytes <= 0 || first.packetEnd !== offset + length) return false;
    if (headersEnd - offset > MAX_HEADER_FIELD || !this.takes(bytes)) return false;
    this.length = length;
    for (let i = 0; i < this.length; i++) target[at + i] = bytes[offset + i]!;
    first.read(target, at, this.length);
    this.target = target;
    this.offset = at;
    this.headersEnd = headersEnd - offset + at;
    this.segmentBytes = payloadBytes;
    this.lastFlags = this.flagsOf(bytes, offset);
    this.isComplete = (this.lastFlags & (TCP_FIN | TCP_PSH)) !== 0;
    this.count = 1;
    return true;
  }

  /** Adds a frame. False where it does not follow: `finish` is due, and then it may be `start`ed with. */
  append(bytes: Uint8Array, offset: number, length: number): boolean {
    const { first, next } = this;
    if (this.count === 0 || this.isComplete || !next.read(bytes, offset, length)) return false;
    const headerBytes = this.headersEnd - this.offset;
    const payloadAt = offset + headerBytes;
    const payloadBytes = next.packetEnd - payloadAt;
    if (payloadBytes <= 0 || payloadBytes > this.segmentBytes) return false;
    if (!this.hasRoom(payloadBytes) || !this.isNext(bytes, offset)) return false;
    if (joinableHeadersEnd(bytes, next) !== payloadAt || next.packetEnd !== offset + length) {
      return false;
    }
    const shift = this.offset + this.length - payloadAt;
    for (let at = payloadAt; at < next.packetEnd; at++) this.target[at + shift] = bytes[at]!;
    this.length += payloadBytes;
    this.lastFlags = this.flagsOf(bytes, offset);
    const isTcp = first.protocol === IpProtocol.tcp;
    this.isComplete =
      payloadBytes < this.segmentBytes ||
      (isTcp ? (this.lastFlags & (TCP_FIN | TCP_PSH)) !== 0 : this.count + 1 === MAX_DATAGRAMS);
    this.count++;
    return true;
  }

  /** Ends what was begun: completes the frame in the target, describes it in `header` and answers its length. */
  finish(header: VirtioNetHeader): number {
    const { first, target, offset, length } = this;
    clearHeader(header);
    const isLong = this.count > 1;
    this.count = 0;
    if (!isLong) return length;
    const transport = first.transportOffset;
    const isTcp = first.protocol === IpProtocol.tcp;
    const messageBytes = offset + length - transport;
    this.writeLengths(messageBytes);
    if (isTcp) {
      target[transport + TCP_FLAGS_OFFSET]! |= this.lastFlags & (TCP_FIN | TCP_PSH);
      header.gsoType = first.ipVersion === 4 ? GsoType.tcp4 : GsoType.tcp6;
      if ((target[transport + TCP_FLAGS_OFFSET]! & TCP_CWR) !== 0) header.gsoType |= GSO_ECN;
    } else {
      header.gsoType = GsoType.udpDatagrams;
    }
    header.flags = HeaderFlag.needsChecksum;
    header.headerBytes = this.headersEnd - offset;
    header.segmentBytes = this.segmentBytes;
    header.checksumStart = transport - offset;
    header.checksumOffset = checksumOffsetOf(first);
    put16(
      target,
      transport + header.checksumOffset,
      foldSum(pseudoHeaderSum(target, first, messageBytes)),
    );
    return length;
  }

  /** Whether a long frame of the first one's kind is wanted. */
  private takes(bytes: Uint8Array): boolean {
    const { first, offloads } = this;
    if (first.protocol === IpProtocol.udp) return offloads.udpDatagrams;
    const flags = bytes[first.transportOffset + TCP_FLAGS_OFFSET]!;
    if ((flags & TCP_CWR) !== 0 && !offloads.ecn) return false;
    return first.ipVersion === 4 ? offloads.tcp4 : offloads.tcp6;
  }

  private writeLengths(messageBytes: number): void {
    const { first, target } = this;
    const { networkOffset: network, transportOffset: transport } = first;
    if (first.ipVersion === 4) {
      put16(target, network + 2, transport - network + messageBytes);
      writeIpv4HeaderChecksum(target, network);
    } else {
      put16(target, network + 4, transport - network - 40 + messageBytes);
    }
    if (first.protocol === IpProtocol.udp) put16(target, transport + 4, messageBytes);
  }

  private hasRoom(payloadBytes: number): boolean {
    const end = this.offset + this.length + payloadBytes;
    return end <= this.target.length && end - this.first.networkOffset <= MAX_PACKET_BYTES;
  }

  private flagsOf(bytes: Uint8Array, offset: number): number {
    const transport = this.first.transportOffset - this.offset + offset;
    return this.first.protocol === IpProtocol.tcp ? bytes[transport + TCP_FLAGS_OFFSET]! : 0;
  }

  /** Whether a frame's headers are what the segmenter would write next. */
  private isNext(bytes: Uint8Array, offset: number): boolean {
    const { first, target } = this;
    const shift = this.offset - offset;
    const network = first.networkOffset - shift;
    const transport = first.transportOffset - shift;
    for (let at = offset; at < transport; at++) {
      if (bytes[at] !== target[at + shift] && !isVarying(first.ipVersion, at - network))
        return false;
    }
    if (first.ipVersion === 4) {
      const id = (get16(target, first.networkOffset + 4) + this.count) & 0xffff;
      if (get16(bytes, network + 4) !== id) return false;
    }
    return first.protocol === IpProtocol.tcp
      ? this.isNextSegment(bytes, transport)
      : get16(bytes, transport) === get16(target, first.transportOffset) &&
          get16(bytes, transport + 2) === get16(target, first.transportOffset + 2) &&
          get16(bytes, transport + 6) !== 0;
  }

  private isNextSegment(bytes: Uint8Array, transport: number): boolean {
    const { target, first } = this;
    const shift = first.transportOffset - transport;
    const headerEnd = this.headersEnd - shift;
    for (let at = transport; at < headerEnd; at++) {
      const place = at - transport;
      const varies = (place >= 4 && place < 8) || place === 16 || place === 17;
      if (bytes[at] !== target[at + shift] && !varies && place !== TCP_FLAGS_OFFSET) return false;
    }
    const sequence = (get32(target, first.transportOffset + 4) + this.payloadBytes) >>> 0;
    // What the segmenter makes of the flags: the first's, without CWR; FIN and PSH may come.
    const expected = target[first.transportOffset + TCP_FLAGS_OFFSET]! & ~TCP_CWR;
    const flags = bytes[transport + TCP_FLAGS_OFFSET]! & ~(TCP_FIN | TCP_PSH);
    return get32(bytes, transport + 4) === sequence && flags === expected;
  }

  private get payloadBytes(): number {
    return this.offset + this.length - this.headersEnd;
  }
}

function get32(bytes: Uint8Array, at: number): number {
  return get16(bytes, at) * 0x10000 + get16(bytes, at + 2);
}

/** Whether this byte of the IP header is one that parts differ in. */
function isVarying(ipVersion: 4 | 6, place: number): boolean {
  const { from, end } = ipVersion === 4 ? IPV4_VARYING : IPV6_VARYING;
  if (place >= from && place < end) return true;
  return ipVersion === 4 && place >= IPV4_CHECKSUM.from && place < IPV4_CHECKSUM.end;
}

/** Where the headers of a frame end that others can be joined to; 0 for one that stays alone. */
function joinableHeadersEnd(bytes: Uint8Array, layout: FrameLayout): number {
  const { transportOffset: transport, protocol } = layout;
  if (layout.isFragment || layout.isRouted || layout.isLengthUnknown) return 0;
  if (checksumOffsetOf(layout) < 0 || !hasOwnChecksums(bytes, layout)) return 0;
  if (protocol === IpProtocol.udp) {
    const isWhole = get16(bytes, transport + 4) === layout.packetEnd - transport;
    return isWhole && get16(bytes, transport + 6) !== 0 ? transport + UDP_BYTES : 0;
  }
  const headerBytes = (bytes[transport + 12]! >> 4) * 4;
  const flags = bytes[transport + TCP_FLAGS_OFFSET]!;
  const isData = (flags & ~(TCP_FIN | TCP_PSH | TCP_ECE | TCP_CWR)) === TCP_ACK;
  const end = transport + headerBytes;
  return isData && headerBytes >= 20 && end <= layout.packetEnd ? end : 0;
}

/** Whether the checksums are right, and as they would be computed: two values stand for the same sum, and only one of them comes back. */
function hasOwnChecksums(bytes: Uint8Array, layout: FrameLayout): boolean {
  const { networkOffset: network, transportOffset: transport } = layout;
  if (layout.ipVersion === 4) {
    const isRight = foldSum(addBytes(0, bytes, network, transport)) === 0xffff;
    if (!isRight || get16(bytes, network + 10) === 0xffff) return false;
  }
  const isTcp = layout.protocol === IpProtocol.tcp;
  if (isTcp && get16(bytes, transport + checksumOffsetOf(layout)) === 0xffff) return false;
  return hasRightChecksum(bytes, layout);
}
