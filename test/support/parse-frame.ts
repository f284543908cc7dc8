/**
 * Takes a frame of the stack apart, and refuses one that is not exactly right: every checksum, every length, every field
 * that has one right value. A stack that a lenient guest forgives is still a wrong one.
 */
import type { IpFamily } from "../../src/address.js";
import { checksumOf, transportChecksum } from "./checksum.js";
import { EtherType, Protocol, type IpPart, type Packet } from "./packet.js";

/** What is wrong with a frame. */
export class FrameFault extends Error {
  override readonly name = "FrameFault";
}

function demand(condition: boolean, what: string): asserts condition {
  if (!condition) throw new FrameFault(what);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

const ETHERNET_BYTES = 14;
const ARP_BYTES = 28;
/** The shortest frame of Ethernet, without FCS: shorter ones are filled up with zeros. */
const SHORTEST_FRAME_BYTES = 60;
/** The stack's ARP replies are longer, by a mistake of old that does no harm. */
const ARP_REPLY_FRAME_BYTES = 64;

/** Cuts off what fills a frame up, which must be zeros, and not be there where the frame is long enough without. */
function withoutPadding(body: Uint8Array, length: number, what: string): Uint8Array {
  demand(length <= body.length, `${what}: length ${length} in a frame with ${body.length}`);
  if (length === body.length) return body;
  const frameBytes = ETHERNET_BYTES + body.length;
  const isPadded =
    frameBytes === SHORTEST_FRAME_BYTES || (what === "ARP" && frameBytes === ARP_REPLY_FRAME_BYTES);
  demand(isPadded, `${what}: length ${length} in a frame with ${body.length}`);
  demand(
    body.subarray(length).every((byte) => byte === 0),
    `${what}: padding that is not zero`,
  );
  return body.subarray(0, length);
}

/**
 * Takes a frame apart. The packet's parts are views on the frame.
 * @throws FrameFault where anything in it is wrong.
 */
export function parseFrame(frame: Uint8Array): Packet {
  demand(frame.length >= ETHERNET_BYTES, `${String(frame.length)} bytes are no frame`);
  const body = frame.subarray(ETHERNET_BYTES);
  const type = viewOf(frame).getUint16(12);
  if (type === EtherType.ipv4) return parseIpv4(body);
  if (type === EtherType.ipv6) return parseIpv6(body);
  demand(type === EtherType.arp, `EtherType 0x${type.toString(16)} is none that the stack speaks`);
  return parseArp(body);
}

function parseArp(padded: Uint8Array): Packet {
  const body = withoutPadding(padded, ARP_BYTES, "ARP");
  const view = viewOf(body);
  demand(view.getUint16(0) === 1 && view.getUint16(2) === 0x0800, "ARP: not Ethernet and IPv4");
  demand(view.getUint8(4) === 6 && view.getUint8(5) === 4, "ARP: address lengths");
  return {
    kind: "arp",
    operation: view.getUint16(6),
    senderMac: body.subarray(8, 14),
    senderAddress: body.subarray(14, 18),
    targetMac: body.subarray(18, 24),
    targetAddress: body.subarray(24, 28),
  };
}

function parseIpv4(padded: Uint8Array): Packet {
  demand(padded.length >= 20, "IPv4: shorter than its header");
  const view = viewOf(padded);
  demand(view.getUint8(0) === 0x45, `IPv4: version and header length ${view.getUint8(0)}`);
  const ip = withoutPadding(padded, view.getUint16(2), "IPv4");
  demand(checksumOf(ip.subarray(0, 20)) === 0, "IPv4: header checksum");
  const hopLimit = view.getUint8(8);
  demand(hopLimit > 0, "IPv4: TTL 0");
  const flagsAndOffset = view.getUint16(6);
  demand((flagsAndOffset & 0x8000) === 0, "IPv4: reserved flag");
  const part: IpPart = {
    family: 4,
    source: ip.subarray(12, 16),
    destination: ip.subarray(16, 20),
    hopLimit,
  };
  const protocol = view.getUint8(9);
  const payload = ip.subarray(20);
  const offset = (flagsAndOffset & 0x1fff) * 8;
  const more = (flagsAndOffset & 0x2000) !== 0;
  if (offset === 0 && !more) return parseTransport(part, protocol, payload);
  demand(!more || payload.length % 8 === 0, "IPv4: fragment length");
  return { kind: "fragment", ...part, id: view.getUint16(4), protocol, offset, more, payload };
}

function parseIpv6(padded: Uint8Array): Packet {
  demand(padded.length >= 40, "IPv6: shorter than its header");
  const view = viewOf(padded);
  demand(view.getUint8(0) >> 4 === 6, "IPv6: version");
  const ip = withoutPadding(padded, 40 + view.getUint16(4), "IPv6");
  const hopLimit = view.getUint8(7);
  demand(hopLimit > 0, "IPv6: hop limit 0");
  const part: IpPart = {
    family: 6,
    source: ip.subarray(8, 24),
    destination: ip.subarray(24, 40),
    hopLimit,
  };
  return parseTransport(part, view.getUint8(6), ip.subarray(40));
}

/** Takes a whole IP payload apart. @throws FrameFault where anything in it is wrong. */
export function parseTransport(part: IpPart, protocol: number, message: Uint8Array): Packet {
  if (protocol === Protocol.tcp) return parseTcp(part, message);
  if (protocol === Protocol.udp) return parseUdp(part, message);
  demand(protocol === icmpProtocol(part.family), `IP protocol ${protocol}`);
  return parseIcmp(part, message);
}

/** The ICMP of an IP version. */
export function icmpProtocol(family: IpFamily): number {
  return family === 4 ? Protocol.icmp : Protocol.icmpv6;
}

function parseTcp(part: IpPart, message: Uint8Array): Packet {
  demand(message.length >= 20, "TCP: shorter than its header");
  demand(transportChecksum({ ...part, protocol: Protocol.tcp }, message) === 0, "TCP: checksum");
  const view = viewOf(message);
  const headerBytes = (view.getUint8(12) >> 4) * 4;
  demand(headerBytes >= 20 && headerBytes <= message.length, `TCP: data offset ${headerBytes}`);
  demand((view.getUint8(12) & 15) === 0, "TCP: reserved bits");
  const [sourcePort, destinationPort] = [view.getUint16(0), view.getUint16(2)];
  demand(sourcePort !== 0 && destinationPort !== 0, "TCP: port 0");
  return {
    kind: "tcp",
    ...part,
    sourcePort,
    destinationPort,
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags: view.getUint8(13),
    window: view.getUint16(14),
    urgentPointer: view.getUint16(18),
    options: message.subarray(20, headerBytes),
    payload: message.subarray(headerBytes),
  };
}

function parseUdp(part: IpPart, message: Uint8Array): Packet {
  demand(message.length >= 8, "UDP: shorter than its header");
  const view = viewOf(message);
  const length = view.getUint16(4);
  demand(length === message.length, `UDP: length ${length} of ${message.length}`);
  // RFC 768 lets IPv4 go without; the stack always has one, and IPv6 must (RFC 8200 8.1).
  demand(view.getUint16(6) !== 0, "UDP: no checksum");
  demand(transportChecksum({ ...part, protocol: Protocol.udp }, message) === 0, "UDP: checksum");
  return {
    kind: "udp",
    ...part,
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    payload: message.subarray(8),
  };
}

function parseIcmp(part: IpPart, message: Uint8Array): Packet {
  demand(message.length >= 8, "ICMP: shorter than its header");
  const sum =
    part.family === 4
      ? checksumOf(message)
      : transportChecksum({ ...part, protocol: Protocol.icmpv6 }, message);
  demand(sum === 0, "ICMP: checksum");
  const [type = 0, code = 0] = message;
  return { kind: "icmp", ...part, type, code, body: message.subarray(4) };
}
