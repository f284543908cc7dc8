/**
 * Cuts a frame that is longer than the wire takes (GSO) into frames that are not, as the header before it says: TCP segments (TSO), UDP
 * datagrams of one size (USO), or the IP fragments of one datagram (UFO).
 *
 * `begin` judges the frame, then each `next` writes one of its parts into the caller's buffer, checksums complete. The frame itself is
 * only read. Of the header only the type and the size of a segment count; where the headers end is seen by walking over them. What each
 * part differs in is what Linux makes it differ in, so that both give the same bytes:
 * IPv4's id goes up by one a segment, FIN and PSH stay with the last segment, CWR with the first; all fragments have one id.
 */
import {
  addBytes,
  checksumOffsetOf,
  copyAndAdd,
  foldSum,
  pseudoHeaderSum,
  writeIpv4HeaderChecksum,
} from "./frame-checksum.js";
import { FrameLayout, extensionHeaderBytes, get16, IpProtocol, put16 } from "./frame-layout.js";
import { GSO_ECN, GsoType, HeaderFlag, type VirtioNetHeader } from "../virtio-net.js";

const TCP_FIN = 1;
const TCP_PSH = 8;
const TCP_CWR = 0x80;
const TCP_FLAGS_OFFSET = 13;
const UDP_BYTES = 8;
const FRAGMENT_HEADER_BYTES = 8;
const MORE_FRAGMENTS_4 = 0x2000;
const MORE_FRAGMENTS_6 = 1;

/** Cuts a long frame into what the wire takes (GSO): `begin`, then `next` until none is left. Allocates for none. */
export class FrameSegmenter {
  /** Parts that are left. */
  remaining = 0;
  /** Length of the longest part: what a target must have room for. */
  maxPartBytes = 0;

  private readonly layout = new FrameLayout();
  private bytes: Uint8Array = new Uint8Array();
  private offset = 0;
  private isFragmenting = false;
  /** Where what every part has a copy of ends. */
  private headersEnd = 0;
  private segmentBytes = 0;
  /** Where the next part's payload begins. */
  private position = 0;
  private index = 0;
  /** Where the checksum of the whole datagram is, and what it is; -1 for "as it stands". */
  private datagramChecksum = -1;
  private identification = 0;

  /**
   * Looks at a frame and its header. The bytes must stay as they are until the last part was written. Answers the number of parts; 1 for
   * a frame that need not be cut; 0 for one that cannot be what its header says, which is to be dropped.
   */
  begin(
    bytes: Uint8Array,
    offset: number,
    length: number,
    header: Readonly<VirtioNetHeader>,
  ): number {
    const { layout } = this;
    this.bytes = bytes;
    this.offset = offset;
    this.index = this.remaining = 0;
    this.datagramChecksum = -1;
    const type = header.gsoType & ~GSO_ECN;
    if (!layout.read(bytes, offset, length) || !this.matches(type)) return 0;
    // The IP header of a long frame may say anything (65535, 0): what counts is the frame.
    if (layout.isLengthUnknown) layout.packetEnd = offset + length;
    this.isFragmenting = type === GsoType.udpFragments;
    if (this.isFragmenting) this.beginFragments(header);
    else this.beginSegments(header);
    const payloadBytes = layout.packetEnd - this.headersEnd;
    if (this.segmentBytes <= 0 || payloadBytes < 0) return 0;
    this.position = this.headersEnd;
    this.remaining = Math.max(Math.ceil(payloadBytes / this.segmentBytes), 1);
    const own = this.isFragmenting && layout.ipVersion === 6 ? FRAGMENT_HEADER_BYTES : 0;
    this.maxPartBytes = this.headersEnd - offset + own + Math.min(payloadBytes, this.segmentBytes);
    return this.remaining;
  }

  /**
   * Writes the next part at `target[at]`, without a header, and answers its length; 0 where none is left. It must have room for
   * `maxPartBytes`, and must not be the memory that the frame lies in.
   */
  next(target: Uint8Array, at: number): number {
    if (this.remaining === 0) return 0;
    if (at + this.maxPartBytes > target.length) {
      throw new RangeError(
        `a part has up to ${String(this.maxPartBytes)} bytes; from ${String(at)} on the target has ${String(target.length - at)}`,
      );
    }
    const end = Math.min(this.position + this.segmentBytes, this.layout.packetEnd);
    const length = this.isFragmenting
      ? this.writeFragment(target, at, end)
      : this.writeSegment(target, at, end);
    this.position = end;
    this.index++;
    this.remaining--;
    return length;
  }

  /** Whether the packet is of the kind that the header says. */
  private matches(type: number): boolean {
    const { ipVersion, protocol, isFragment, isRouted } = this.layout;
    if (isFragment || isRouted || checksumOffsetOf(this.layout) < 0) return false;
    switch (type) {
      case GsoType.tcp4:
        return ipVersion === 4 && protocol === IpProtocol.tcp;
      case GsoType.tcp6:
        return ipVersion === 6 && protocol === IpProtocol.tcp;
      case GsoType.udpDatagrams:
      case GsoType.udpFragments:
        return protocol === IpProtocol.udp;
      default:
        return false;
    }
  }

  private beginSegments(header: Readonly<VirtioNetHeader>): void {
    const { bytes, layout } = this;
    const isTcp = layout.protocol === IpProtocol.tcp;
    const headerBytes = isTcp ? (bytes[layout.transportOffset + 12]! >> 4) * 4 : UDP_BYTES;
    this.headersEnd = layout.transportOffset + headerBytes;
    this.segmentBytes = headerBytes < (isTcp ? 20 : UDP_BYTES) ? 0 : header.segmentBytes;
  }

  private beginFragments(header: Readonly<VirtioNetHeader>): void {
    const { bytes, layout } = this;
    const { transportOffset } = layout;
    this.headersEnd =
      layout.ipVersion === 4
        ? transportOffset
        : unfragmentableEnd(bytes, layout.networkOffset, transportOffset);
    // Every fragment but the last has a multiple of 8 bytes (RFC 791 3.2, RFC 8200 4.5).
    this.segmentBytes = header.segmentBytes & ~7;
    if ((header.flags & HeaderFlag.needsChecksum) === 0) return;
    const messageBytes = layout.packetEnd - transportOffset;
    const at = transportOffset + checksumOffsetOf(layout);
    const sum = addBytes(
      pseudoHeaderSum(bytes, layout, messageBytes),
      bytes,
      transportOffset,
      layout.packetEnd,
    );
    // What stands in the field is the pseudo header's sum, which must not count twice.
    const checksum = ~foldSum(sum + (~get16(bytes, at) & 0xffff)) & 0xffff;
    this.datagramChecksum = checksum === 0 ? 0xffff : checksum;
  }

  private writeSegment(target: Uint8Array, at: number, end: number): number {
    const { bytes, offset, layout, headersEnd } = this;
    const shift = at - offset;
    const transport = layout.transportOffset + shift;
    const checksumAt = transport + checksumOffsetOf(layout);
    const messageBytes = headersEnd - layout.transportOffset + end - this.position;
    copyAndAdd(0, bytes, offset, headersEnd, target, at);
    this.writeIpLength(target, layout.networkOffset + shift, transport + messageBytes, this.index);
    if (layout.protocol === IpProtocol.tcp) this.adaptTcpHeader(target, transport);
    else put16(target, transport + 4, messageBytes);
    put16(target, checksumAt, 0);
    let sum = pseudoHeaderSum(bytes, layout, messageBytes);
    sum = addBytes(sum, target, transport, headersEnd + shift);
    // The headers' length is even: the payload's first byte is a word's first.
    sum = copyAndAdd(sum, bytes, this.position, end, target, headersEnd + shift);
    const checksum = ~foldSum(sum) & 0xffff;
    const isUdp = layout.protocol === IpProtocol.udp;
    put16(target, checksumAt, isUdp && checksum === 0 ? 0xffff : checksum);
    return headersEnd - offset + end - this.position;
  }

  private adaptTcpHeader(target: Uint8Array, transport: number): void {
    const sequence = this.position - this.headersEnd;
    const low = get16(target, transport + 6) + (sequence & 0xffff);
    put16(target, transport + 6, low);
    put16(target, transport + 4, get16(target, transport + 4) + (sequence >>> 16) + (low >>> 16));
    const flagsAt = transport + TCP_FLAGS_OFFSET;
    if (this.remaining > 1) target[flagsAt]! &= ~(TCP_FIN | TCP_PSH);
    if (this.index > 0) target[flagsAt]! &= ~TCP_CWR;
  }

  private writeFragment(target: Uint8Array, at: number, end: number): number {
    const { bytes, offset, layout, headersEnd } = this;
    const shift = at - offset;
    const network = layout.networkOffset + shift;
    const fragmentOffset = this.position - headersEnd;
    const hasMore = this.remaining > 1;
    let payloadAt = headersEnd + shift;
    copyAndAdd(0, bytes, offset, headersEnd, target, at);
    if (layout.ipVersion === 4) {
      put16(target, network + 6, (fragmentOffset >> 3) | (hasMore ? MORE_FRAGMENTS_4 : 0));
    } else if (hasMore || this.index > 0) {
      this.writeFragmentHeader(target, network, payloadAt, fragmentOffset, hasMore);
      payloadAt += FRAGMENT_HEADER_BYTES;
    }
    const partEnd = payloadAt + end - this.position;
    copyAndAdd(0, bytes, this.position, end, target, payloadAt);
    this.writeIpLength(target, network, partEnd, 0);
    const checksumAt = layout.transportOffset + checksumOffsetOf(layout);
    if (this.datagramChecksum >= 0 && this.position <= checksumAt && checksumAt + 2 <= end) {
      put16(target, payloadAt + checksumAt - this.position, this.datagramChecksum);
    }
    return partEnd - at;
  }

  /** RFC 8200 4.5. The identification is new for each datagram and the same for its fragments. */
  private writeFragmentHeader(
    target: Uint8Array,
    network: number,
    at: number,
    fragmentOffset: number,
    hasMore: boolean,
  ): void {
    const { headersEnd, layout, bytes } = this;
    if (this.index === 0) this.identification = (this.identification + 1) >>> 0;
    const place = nextHeaderField(bytes, layout.networkOffset, headersEnd) - layout.networkOffset;
    target[at] = target[network + place]!;
    target[at + 1] = 0;
    put16(target, at + 2, fragmentOffset | (hasMore ? MORE_FRAGMENTS_6 : 0));
    put16(target, at + 4, this.identification >>> 16);
    put16(target, at + 6, this.identification & 0xffff);
    target[network + place] = IpProtocol.fragment;
  }

  private writeIpLength(target: Uint8Array, network: number, end: number, idStep: number): void {
    if (this.layout.ipVersion === 4) {
      put16(target, network + 2, end - network);
      put16(target, network + 4, get16(target, network + 4) + idStep);
      writeIpv4HeaderChecksum(target, network);
    } else {
      put16(target, network + 4, end - network - 40);
    }
  }
}

/**
 * Where what every fragment of an IPv6 packet has a copy of ends (RFC 8200 4.5): behind hop-by-hop and routing headers, and the destination
 * options before the latter.
 */
function unfragmentableEnd(bytes: Uint8Array, network: number, transportOffset: number): number {
  let protocol = bytes[network + 6]!;
  let at = network + 40;
  let end = at;
  while (at < transportOffset) {
    const isPart = protocol === IpProtocol.hopByHop || protocol === IpProtocol.routing;
    if (!isPart && protocol !== IpProtocol.destination) break;
    const headerBytes = extensionHeaderBytes(protocol, bytes, at, transportOffset);
    protocol = bytes[at]!;
    at += headerBytes;
    if (isPart) end = at;
  }
  return end;
}

/** Where stands what the header that begins at `wanted` is. */
function nextHeaderField(bytes: Uint8Array, network: number, wanted: number): number {
  let field = network + 6;
  let at = network + 40;
  while (at < wanted) {
    const headerBytes = extensionHeaderBytes(bytes[field]!, bytes, at, wanted);
    if (headerBytes === 0) break;
    field = at;
    at += headerBytes;
  }
  return field;
}
