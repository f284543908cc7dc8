/**
 * Frames for offloads, each built from its parts: the slow way to say what cutting or joining must give, which shares no code with it.
 */
import fc from "fast-check";
import { GsoType, HeaderFlag, type VirtioNetHeader } from "../../src/virtio-net.js";
import { checksumOf, transportChecksum } from "./checksum.js";
import { Protocol, TcpFlag } from "./packet.js";

/** All that a TCP or UDP frame consists of. */
export interface FrameParts {
  /** VLAN tags, outermost first. */
  readonly tags: readonly number[];
  readonly family: 4 | 6;
  /** IPv4 options, a multiple of 4; IPv6 extension headers, `[type, bytes]`, each a multiple of 8. */
  readonly ipOptions: Uint8Array;
  readonly extensions: readonly (readonly [type: number, bytes: Uint8Array])[];
  readonly id: number;
  readonly hopLimit: number;
  readonly protocol: "tcp" | "udp";
  readonly ports: readonly [number, number];
  readonly seq: number;
  readonly ack: number;
  /** OR of TcpFlag; 0x40 ECE, 0x80 CWR. */
  readonly flags: number;
  readonly tcpOptions: Uint8Array;
  readonly payload: Uint8Array;
}

export const CWR = 0x80;
export const ECE = 0x40;

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

/** An extension header of options, which is one PadN (RFC 8200 4.2). */
function optionsHeader(type: number, words: number): readonly [type: number, bytes: Uint8Array] {
  const bytes = new Uint8Array(words * 8);
  bytes.set([0, words - 1, 1, bytes.length - 4]);
  return [type, bytes];
}

const HOP_BY_HOP = 0;
const DESTINATION_OPTIONS = 60;

/** Hop-by-hop options come first, and once. */
const extensions = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }))
  .map(([hopByHopWords, others]) => [
    ...(hopByHopWords > 0 ? [optionsHeader(HOP_BY_HOP, hopByHopWords)] : []),
    ...others.map((words) => optionsHeader(DESTINATION_OPTIONS, words)),
  ]);

/** Payloads with all the lengths that matter, cheap to make. */
const payload = fc.tuple(fc.integer({ min: 1, max: 4000 }), fc.nat(255)).map(([length, seed]) => {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = seed * 31 + i * 7 + (i >> 8);
  return bytes;
});

/** Any frame that can be cut. */
export const frameParts: fc.Arbitrary<FrameParts> = fc.record({
  tags: fc.array(fc.nat(4095), { maxLength: 2 }),
  family: fc.constantFrom(4 as const, 6 as const),
  ipOptions: fc.integer({ min: 0, max: 3 }).map((words) => new Uint8Array(words * 4).fill(1)),
  extensions,
  id: fc.nat(65535),
  hopLimit: fc.integer({ min: 1, max: 255 }),
  protocol: fc.constantFrom("tcp" as const, "udp" as const),
  ports: fc.tuple(fc.nat(65535), fc.nat(65535)),
  seq: fc.nat(0xffffffff),
  ack: fc.nat(0xffffffff),
  flags: fc
    .subarray([TcpFlag.fin, TcpFlag.psh, ECE, CWR])
    .map((flags) => flags.reduce((all, flag) => all | flag, TcpFlag.ack)),
  tcpOptions: fc.integer({ min: 0, max: 10 }).chain((words) => bytesOf(words * 4)),
  payload,
});

/** Where a frame's parts begin. */
export interface Places {
  readonly network: number;
  readonly transport: number;
  readonly payload: number;
}

export function placesOf(parts: FrameParts): Places {
  const network = 14 + parts.tags.length * 4;
  const own =
    parts.family === 4
      ? 20 + parts.ipOptions.length
      : 40 + parts.extensions.reduce((sum, [, bytes]) => sum + bytes.length, 0);
  const transport = network + own;
  const headerBytes = parts.protocol === "tcp" ? 20 + parts.tcpOptions.length : 8;
  return { network, transport, payload: transport + headerBytes };
}

/** Whether the transport checksum is complete, or the pseudo header's sum as a guest leaves it to its NIC. */
export type ChecksumState = "complete" | "unfinished";

export function buildFrame(parts: FrameParts, state: ChecksumState = "complete"): Uint8Array {
  const { network, transport } = placesOf(parts);
  const message = buildMessage(parts, state);
  const frame = new Uint8Array(transport + message.length);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
  const view = new DataView(frame.buffer);
  for (const [index, tag] of parts.tags.entries()) {
    view.setUint16(12 + index * 4, index === 0 && parts.tags.length > 1 ? 0x88a8 : 0x8100);
    view.setUint16(14 + index * 4, tag);
  }
  view.setUint16(network - 2, parts.family === 4 ? 0x0800 : 0x86dd);
  frame.set(buildIpHeader(parts, message.length, protocolNumber(parts)), network);
  frame.set(message, transport);
  return frame;
}

export function addressesOf(family: 4 | 6): { source: Uint8Array; destination: Uint8Array } {
  const bytes = family === 4 ? 4 : 16;
  const make = (last: number): Uint8Array =>
    new Uint8Array(bytes).fill(0xfd, 0, 1).fill(last, bytes - 1);
  return { source: make(1), destination: make(2) };
}

export function protocolNumber(parts: FrameParts): number {
  return Protocol[parts.protocol];
}

/** The IP header, with options or extension headers, before a payload of so many bytes. */
export function buildIpHeader(
  parts: FrameParts,
  payloadBytes: number,
  protocol: number,
  fragment = 0,
): Uint8Array {
  const { network, transport } = placesOf(parts);
  const header = new Uint8Array(transport - network);
  const view = new DataView(header.buffer);
  const { source, destination } = addressesOf(parts.family);
  if (parts.family === 4) {
    header[0] = 0x40 | (header.length / 4);
    view.setUint16(2, header.length + payloadBytes);
    view.setUint16(4, parts.id);
    view.setUint16(6, fragment);
    header.set([parts.hopLimit, protocol], 8);
    header.set(source, 12);
    header.set(destination, 16);
    header.set(parts.ipOptions, 20);
    view.setUint16(10, checksumOf(header));
    return header;
  }
  header[0] = 0x60;
  view.setUint16(4, header.length - 40 + payloadBytes);
  header[7] = parts.hopLimit;
  header.set(source, 8);
  header.set(destination, 24);
  let field = 6;
  let at = 40;
  for (const [type, bytes] of parts.extensions) {
    header[field] = type;
    header.set(bytes, at);
    field = at;
    at += bytes.length;
  }
  header[field] = protocol;
  return header;
}

/** The TCP segment or UDP datagram. */
export function buildMessage(parts: FrameParts, state: ChecksumState = "complete"): Uint8Array {
  const isTcp = parts.protocol === "tcp";
  const headerBytes = isTcp ? 20 + parts.tcpOptions.length : 8;
  const message = new Uint8Array(headerBytes + parts.payload.length);
  const view = new DataView(message.buffer);
  view.setUint16(0, parts.ports[0]);
  view.setUint16(2, parts.ports[1]);
  if (isTcp) {
    view.setUint32(4, parts.seq);
    view.setUint32(8, parts.ack);
    message.set([(headerBytes / 4) << 4, parts.flags, 0x12, 0x34], 12);
    message.set(parts.tcpOptions, 20);
  } else {
    view.setUint16(4, message.length);
  }
  message.set(parts.payload, headerBytes);
  const pseudo = {
    family: parts.family,
    ...addressesOf(parts.family),
    protocol: protocolNumber(parts),
  };
  const at = isTcp ? 16 : 6;
  if (state === "unfinished") {
    // The sum of the pseudo header alone: that of a message of zeros.
    view.setUint16(at, ~transportChecksum(pseudo, new Uint8Array(message.length)));
  } else {
    const sum = transportChecksum(pseudo, message);
    view.setUint16(at, sum === 0 && !isTcp ? 0xffff : sum);
  }
  return message;
}

/** What cutting into payloads of so many bytes must give, from RFC 9293 and what Linux does to ids and flags. */
export function referenceSegments(parts: FrameParts, segmentBytes: number): Uint8Array[] {
  const count = Math.max(Math.ceil(parts.payload.length / segmentBytes), 1);
  return Array.from({ length: count }, (_, index) => {
    const start = index * segmentBytes;
    let { flags } = parts;
    if (index > 0) flags &= ~CWR;
    if (index < count - 1) flags &= ~(TcpFlag.fin | TcpFlag.psh);
    return buildFrame({
      ...parts,
      flags,
      id: (parts.id + index) & 0xffff,
      seq: (parts.seq + start) >>> 0,
      payload: parts.payload.subarray(start, start + segmentBytes),
    });
  });
}

/** What a guest says of a frame that it leaves to its NIC. */
export function headerOf(
  parts: FrameParts,
  gsoType: number,
  segmentBytes: number,
): VirtioNetHeader {
  const { transport, payload } = placesOf(parts);
  return {
    flags: HeaderFlag.needsChecksum,
    gsoType,
    headerBytes: payload,
    segmentBytes,
    checksumStart: transport,
    checksumOffset: parts.protocol === "tcp" ? 16 : 6,
  };
}

export function gsoTypeOf(parts: FrameParts): number {
  if (parts.protocol === "udp") return GsoType.udpDatagrams;
  return parts.family === 4 ? GsoType.tcp4 : GsoType.tcp6;
}

/** A frame somewhere in a larger memory. */
export function embed(frame: Uint8Array, before: number, behind: number): Uint8Array {
  const bytes = new Uint8Array(before + frame.length + behind).fill(0xaa);
  bytes.set(frame, before);
  return bytes;
}

/** Any header, true or not. */
export const anyHeader: fc.Arbitrary<VirtioNetHeader> = fc.record({
  flags: fc.nat(7),
  gsoType: fc.constantFrom(0, 1, 3, 4, 5, 0x81, 0x84, 2, 255),
  headerBytes: fc.nat(65535),
  segmentBytes: fc.oneof(fc.nat(65535), fc.nat(64)),
  checksumStart: fc.oneof(fc.nat(65535), fc.nat(100)),
  checksumOffset: fc.oneof(fc.nat(65535), fc.nat(20)),
});
