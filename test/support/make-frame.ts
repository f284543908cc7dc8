/**
 * Makes the raw guest's frames. Everything that a stack checks can be made wrong on purpose.
 */
import type { IpAddress } from "../../src/address.js";
import { checksumOf, transportChecksum } from "./checksum.js";
import { EtherType, Protocol, TcpFlag } from "./packet.js";
import { icmpProtocol } from "./parse-frame.js";

/** Who sends to whom, on both layers. */
export interface FrameAddresses {
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** What can be set in a segment; the rest is what a well-behaved guest would send. */
export interface SegmentOptions {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack?: number;
  readonly flags: number;
  readonly window: number;
  readonly urgentPointer?: number;
  /** TCP options; length a multiple of 4. */
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
  /** Put a wrong sum into the segment. */
  readonly badChecksum?: boolean;
}

const EMPTY = new Uint8Array();

/** An Ethernet frame. */
export function makeFrame(
  addresses: Pick<FrameAddresses, "sourceMac" | "destinationMac">,
  type: number,
  body: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(14 + body.length);
  frame.set(addresses.destinationMac, 0);
  frame.set(addresses.sourceMac, 6);
  new DataView(frame.buffer).setUint16(12, type);
  frame.set(body, 14);
  return frame;
}

let ipv4Id = 0;

/** What an IP header can be told. */
export interface IpHeaderOptions {
  readonly hopLimit?: number;
  /** IPv4 only. */
  readonly fragment?: { readonly id: number; readonly offset: number; readonly more: boolean };
}

/** A frame with an IP packet: its header of the right version, right length and right sum. */
export function makeIpFrame(
  addresses: FrameAddresses,
  protocol: number,
  payload: Uint8Array,
  options: IpHeaderOptions = {},
): Uint8Array {
  const isV4 = addresses.source.family === 4;
  const headerBytes = isV4 ? 20 : 40;
  const packet = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(packet.buffer);
  if (isV4) {
    const {
      id = (ipv4Id = (ipv4Id + 1) & 0xffff),
      offset = 0,
      more = false,
    } = options.fragment ?? {};
    packet.set([0x45, 0]);
    view.setUint16(2, packet.length);
    view.setUint16(4, id);
    view.setUint16(6, (more ? 0x2000 : 0) | (offset >> 3));
    packet.set([options.hopLimit ?? 64, protocol], 8);
    packet.set(addresses.source.bytes, 12);
    packet.set(addresses.destination.bytes, 16);
    view.setUint16(10, checksumOf(packet.subarray(0, 20)));
  } else {
    packet[0] = 0x60;
    view.setUint16(4, payload.length);
    packet.set([protocol, options.hopLimit ?? 64], 6);
    packet.set(addresses.source.bytes, 8);
    packet.set(addresses.destination.bytes, 24);
  }
  packet.set(payload, headerBytes);
  return makeFrame(addresses, isV4 ? EtherType.ipv4 : EtherType.ipv6, packet);
}

/** A frame with a TCP segment. */
export function makeTcpFrame(addresses: FrameAddresses, segment: SegmentOptions): Uint8Array {
  const { options = EMPTY, payload = EMPTY } = segment;
  const message = new Uint8Array(20 + options.length + payload.length);
  const view = new DataView(message.buffer);
  view.setUint16(0, segment.sourcePort);
  view.setUint16(2, segment.destinationPort);
  view.setUint32(4, segment.seq);
  view.setUint32(8, (segment.flags & TcpFlag.ack) === 0 ? 0 : (segment.ack ?? 0));
  view.setUint8(12, ((20 + options.length) / 4) << 4);
  view.setUint8(13, segment.flags);
  view.setUint16(14, segment.window);
  view.setUint16(18, segment.urgentPointer ?? 0);
  message.set(options, 20);
  message.set(payload, 20 + options.length);
  const { source, destination } = addresses;
  const pseudo = { family: source.family, source: source.bytes, destination: destination.bytes };
  const sum = transportChecksum({ ...pseudo, protocol: Protocol.tcp }, message);
  view.setUint16(16, segment.badChecksum ? sum ^ 0x5555 : sum);
  return makeIpFrame(addresses, Protocol.tcp, message);
}

/** A UDP message with its sum. */
export function makeUdpMessage(
  addresses: Pick<FrameAddresses, "source" | "destination">,
  ports: { readonly source: number; readonly destination: number },
  payload: Uint8Array,
): Uint8Array {
  const message = new Uint8Array(8 + payload.length);
  const view = new DataView(message.buffer);
  view.setUint16(0, ports.source);
  view.setUint16(2, ports.destination);
  view.setUint16(4, message.length);
  message.set(payload, 8);
  const { source, destination } = addresses;
  const pseudo = { family: source.family, source: source.bytes, destination: destination.bytes };
  const sum = transportChecksum({ ...pseudo, protocol: Protocol.udp }, message);
  view.setUint16(6, sum === 0 ? 0xffff : sum);
  return message;
}

/** A frame with an ICMP or ICMPv6 message; `body` begins behind the checksum. */
export function makeIcmpFrame(
  addresses: FrameAddresses,
  message: { readonly type: number; readonly code?: number; readonly body: Uint8Array },
  options: IpHeaderOptions = {},
): Uint8Array {
  const bytes = new Uint8Array(4 + message.body.length);
  bytes.set([message.type, message.code ?? 0]);
  bytes.set(message.body, 4);
  const { source, destination } = addresses;
  const protocol = icmpProtocol(source.family);
  const pseudo = { family: source.family, source: source.bytes, destination: destination.bytes };
  const sum =
    source.family === 4 ? checksumOf(bytes) : transportChecksum({ ...pseudo, protocol }, bytes);
  new DataView(bytes.buffer).setUint16(2, sum);
  return makeIpFrame(addresses, protocol, bytes, options);
}

/** A frame with an ARP packet for Ethernet and IPv4 (RFC 826). */
export function makeArpFrame(
  macs: Pick<FrameAddresses, "sourceMac" | "destinationMac">,
  arp: {
    readonly operation: 1 | 2;
    readonly sender: Uint8Array;
    readonly targetMac?: Uint8Array;
    readonly target: Uint8Array;
  },
): Uint8Array {
  const body = new Uint8Array(28);
  body.set([0, 1, 8, 0, 6, 4, 0, arp.operation]);
  body.set(macs.sourceMac, 8);
  body.set(arp.sender, 14);
  if (arp.targetMac) body.set(arp.targetMac, 18);
  body.set(arp.target, 24);
  return makeFrame(macs, EtherType.arp, body);
}

/** The option that tells the largest segment one takes (RFC 9293 3.7.1). */
export function maximumSegmentSizeOption(bytes: number): Uint8Array {
  return Uint8Array.of(2, 4, bytes >> 8, bytes & 0xff);
}
