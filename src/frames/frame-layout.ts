/**
 * Where things are in an Ethernet frame: a walk over VLAN tags, IPv4 or IPv6 with its extension headers, to the transport header.
 *
 * Nothing that a frame says about itself is believed: every offset lies within the frame, or the walk answers false. One object
 * serves any number of frames and allocates for none.
 */
import { ETHERNET_HEADER_LENGTH } from "../virtio-net.js";

/** IP's protocol numbers (IANA) that matter here. */
export const IpProtocol = {
  hopByHop: 0,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  authentication: 51,
  destination: 60,
} as const;

const ETHER_TYPE_IPV4 = 0x0800;
const ETHER_TYPE_IPV6 = 0x86dd;
/** IEEE 802.1Q, 802.1ad, and what came before it. */
const VLAN_TYPES: readonly number[] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAG_BYTES = 4;
const IPV4_MIN_BYTES = 20;
const IPV6_BYTES = 40;

/** Reads 16 bits, most significant first. */
export function get16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Writes 16 bits, most significant first. */
export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** See the top of the file. All offsets are into the bytes that `read` was given. */
export class FrameLayout {
  ipVersion: 4 | 6 = 4;
  /** Where the IP header is. */
  networkOffset = 0;
  /** Where what IP carries begins, behind options or extension headers. */
  transportOffset = 0;
  /** What IP carries: of {@link IpProtocol}, among others. */
  protocol = 0;
  /** The packet is a piece of one, the first or another. */
  isFragment = false;
  /** A routing header has more to visit (RFC 8200 4.4): the destination in the pseudo header is not the one in the IP header. */
  isRouted = false;
  /** Where the packet ends: bytes behind it are padding. */
  packetEnd = 0;
  /** The IP header's length goes beyond the frame, or says 0: `packetEnd` is the frame's. */
  isLengthUnknown = false;

  private frameEnd = 0;

  /** Walks over a frame. False where it is no IP packet, or one whose headers do not lie within the frame: then the fields mean nothing. */
  read(bytes: Uint8Array, offset: number, length: number): boolean {
    this.frameEnd = offset + length;
    if (offset < 0 || length < ETHERNET_HEADER_LENGTH || this.frameEnd > bytes.length) return false;
    let at = offset + ETHERNET_HEADER_LENGTH;
    let type = get16(bytes, at - 2);
    while (VLAN_TYPES.includes(type)) {
      at += VLAN_TAG_BYTES;
      if (at > this.frameEnd) return false;
      type = get16(bytes, at - 2);
    }
    this.networkOffset = at;
    this.isFragment = this.isRouted = false;
    if (type === ETHER_TYPE_IPV4) return this.readIpv4(bytes, at);
    return type === ETHER_TYPE_IPV6 && this.readIpv6(bytes, at);
  }

  private readIpv4(bytes: Uint8Array, at: number): boolean {
    if (at + IPV4_MIN_BYTES > this.frameEnd || bytes[at]! >> 4 !== 4) return false;
    const headerBytes = (bytes[at]! & 15) * 4;
    this.ipVersion = 4;
    this.protocol = bytes[at + 9]!;
    this.transportOffset = at + headerBytes;
    // More fragments, or an offset (RFC 791 3.1).
    this.isFragment = (get16(bytes, at + 6) & 0x3fff) !== 0;
    return (
      headerBytes >= IPV4_MIN_BYTES &&
      this.transportOffset <= this.frameEnd &&
      this.setEnd(at, get16(bytes, at + 2))
    );
  }

  private readIpv6(bytes: Uint8Array, at: number): boolean {
    if (at + IPV6_BYTES > this.frameEnd || bytes[at]! >> 4 !== 6) return false;
    this.ipVersion = 6;
    this.protocol = bytes[at + 6]!;
    this.transportOffset = at + IPV6_BYTES;
    const payloadBytes = get16(bytes, at + 4);
    return (
      this.setEnd(at, payloadBytes === 0 ? 0 : IPV6_BYTES + payloadBytes) &&
      this.skipExtensionHeaders(bytes)
    );
  }

  private setEnd(networkOffset: number, packetBytes: number): boolean {
    const end = networkOffset + packetBytes;
    this.isLengthUnknown = packetBytes === 0 || end > this.frameEnd;
    this.packetEnd = this.isLengthUnknown ? this.frameEnd : end;
    return this.transportOffset <= this.packetEnd;
  }

  /** RFC 8200 4. */
  private skipExtensionHeaders(bytes: Uint8Array): boolean {
    for (;;) {
      const at = this.transportOffset;
      const headerBytes = extensionHeaderBytes(this.protocol, bytes, at, this.packetEnd);
      if (headerBytes === 0) return true;
      if (at + headerBytes > this.packetEnd) return false;
      // More fragments, or an offset (RFC 8200 4.5).
      if (this.protocol === IpProtocol.fragment && (get16(bytes, at + 2) & 0xfff9) !== 0) {
        this.isFragment = true;
      }
      if (this.protocol === IpProtocol.routing && bytes[at + 3] !== 0) this.isRouted = true;
      this.protocol = bytes[at]!;
      this.transportOffset += headerBytes;
      // What follows in a fragment that is not the first is no header.
      if (this.isFragment) return true;
    }
  }
}

/** Length of the IPv6 extension header at `at`; 0 where it is none; more than there is where it does not end within the packet. */
export function extensionHeaderBytes(
  protocol: number,
  bytes: Uint8Array,
  at: number,
  end: number,
): number {
  switch (protocol) {
    case IpProtocol.hopByHop:
    case IpProtocol.routing:
    case IpProtocol.destination:
      return at + 8 > end ? 8 : (bytes[at + 1]! + 1) * 8;
    case IpProtocol.fragment:
      return 8;
    case IpProtocol.authentication:
      return at + 8 > end ? 8 : (bytes[at + 1]! + 2) * 4;
    default:
      return 0;
  }
}
