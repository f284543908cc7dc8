/**
 * What the frames of the raw guest are, taken apart: one type a protocol, and the numbers that stand in them.
 */
import { ipAddressFromBytes, type IpFamily } from "../../src/address.js";

/** TCP's flags (RFC 9293 3.1). */
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

/** IP's protocol numbers. */
export const Protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;

export const EtherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

/** ICMP message types (RFC 792, RFC 4443, RFC 4861), by family where they differ. */
export const IcmpType = {
  echoReply: { 4: 0, 6: 129 },
  echoRequest: { 4: 8, 6: 128 },
  unreachable: { 4: 3, 6: 1 },
  timeExceeded: { 4: 11, 6: 3 },
  packetTooBig: 2,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
} as const;

/** The end of an IP header that tests look at. */
export interface IpPart {
  readonly family: IpFamily;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly hopLimit: number;
}

export interface TcpSegment extends IpPart {
  readonly kind: "tcp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  /** OR of {@link TcpFlag}. */
  readonly flags: number;
  readonly window: number;
  readonly urgentPointer: number;
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

export interface UdpDatagram extends IpPart {
  readonly kind: "udp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

export interface IcmpMessage extends IpPart {
  readonly kind: "icmp";
  readonly type: number;
  readonly code: number;
  /** From the byte behind the checksum on. */
  readonly body: Uint8Array;
}

export interface ArpPacket {
  readonly kind: "arp";
  /** 1 request, 2 reply. */
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderAddress: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetAddress: Uint8Array;
}

/** A piece of an IPv4 packet (RFC 791 3.2), which is no message yet. */
export interface Ipv4Fragment extends IpPart {
  readonly kind: "fragment";
  readonly id: number;
  readonly protocol: number;
  readonly offset: number;
  readonly more: boolean;
  readonly payload: Uint8Array;
}

export type Packet = TcpSegment | UdpDatagram | IcmpMessage | ArpPacket | Ipv4Fragment;

/** Address as text, for comparing and for messages. */
export function addressText(bytes: Uint8Array): string {
  return ipAddressFromBytes(bytes).address;
}

/** The flags that are set, by name: "syn,ack". */
export function flagNames(flags: number): string {
  return Object.entries(TcpFlag)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join(",");
}

/** `a + count` in the arithmetic of sequence numbers: modulo 2³². */
export function addSequence(a: number, count: number): number {
  return (a + count) >>> 0;
}

/** How far `a` is ahead of `b` in sequence space, negative where it is behind. */
export function sequenceDistance(a: number, b: number): number {
  return (a - b) | 0;
}

/** What an ICMP error quotes of the packet that it is about. */
export interface QuotedPacket {
  readonly family: IpFamily;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** From the transport header on, as far as it is quoted. */
  readonly transport: Uint8Array;
}

/** Reads the quotation in an ICMP or ICMPv6 error message: behind 4 bytes, an IP header and what follows it. */
export function quotedPacket(message: IcmpMessage): QuotedPacket {
  const ip = message.body.subarray(4);
  const isV4 = (ip[0] ?? 0) >> 4 === 4;
  const headerBytes = isV4 ? ((ip[0] ?? 0) & 15) * 4 : 40;
  const transport = ip.subarray(headerBytes);
  const view = new DataView(transport.buffer, transport.byteOffset, transport.length);
  return {
    family: isV4 ? 4 : 6,
    protocol: ip[isV4 ? 9 : 6] ?? NaN,
    source: addressText(isV4 ? ip.subarray(12, 16) : ip.subarray(8, 24)),
    destination: addressText(isV4 ? ip.subarray(16, 20) : ip.subarray(24, 40)),
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    transport,
  };
}
