/**
 * The part of DNS messages (RFC 1035, 4.1) that answering in the page needs: one question is read, answers of addresses and names are
 * written, and others' answers are read for show. What is read may be anything: nothing here throws.
 */
import { ipAddressFromBytes, type IpAddress } from "../address.js";

/** Types of records (RFC 1035, 3.2.2; RFC 3596; RFC 9460), by number. */
export const DnsType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  HTTPS: 65,
} as const;

/** RFC 1035, 4.1.1. */
export const DnsCode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;

const HEADER_BYTES = 12;
const CLASS_INTERNET = 1;
const TYPE_OPT = 41;
/** QR, TC, RD, RA of the flags. */
const Flag = {
  response: 0x8000,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
} as const;
const OPCODE_MASK = 0x7800;
const CODE_MASK = 0x000f;
/** Without EDNS (RFC 1035, 4.2.1). */
const PLAIN_UDP_BYTES = 512;
/** A name has at most 255 bytes, and so at most as many labels and pointers that make sense. */
const MAX_NAME_BYTES = 255;

/** A question as it was asked. */
export interface DnsQuestion {
  readonly id: number;
  /** In small letters, without a dot at the end; "" is the root. */
  readonly name: string;
  readonly type: number;
  /** Where the question ends in the message. */
  readonly end: number;
  /** The longest answer that may come back by UDP, bytes. */
  readonly maxUdpBytes: number;
}

/** A record of ours: an address, or a name. */
export type DnsData = IpAddress | { readonly name: string };

/** What an answer says. */
export interface DnsAnswer {
  readonly id: number;
  readonly code: number;
  /** Addresses and names; of other records the type. */
  readonly answers: readonly string[];
  readonly isTruncated: boolean;
}

interface Name {
  readonly text: string;
  readonly end: number;
}

/** A type in words: `A`, `TYPE99` (RFC 3597). */
export function dnsTypeName(type: number): string {
  return Object.entries(DnsType).find(([, number]) => number === type)?.[0] ?? `TYPE${type}`;
}

/** A response code in words. */
export function dnsCodeName(code: number): string {
  const names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
  return names[code] ?? `RCODE${code}`;
}

/** Reads a query with one question, as all that are asked have; undefined where it is something else. */
export function readDnsQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const view = viewOf(message);
  const flags = view.getUint16(2);
  if ((flags & (Flag.response | OPCODE_MASK)) !== 0 || view.getUint16(4) !== 1) return undefined;
  const name = readName(message, HEADER_BYTES);
  if (!name || name.end + 4 > message.length) return undefined;
  if (view.getUint16(name.end + 2) !== CLASS_INTERNET) return undefined;
  const end = name.end + 4;
  return {
    id: view.getUint16(0),
    name: name.text,
    type: view.getUint16(name.end),
    end,
    maxUdpBytes: readEdnsSize(message, end, view),
  };
}

/** Writes the answer to a query that was read: its question again, and records that live `ttlSeconds`. */
export function encodeDnsAnswer(
  query: Uint8Array,
  question: DnsQuestion,
  {
    code,
    records = [],
    ttlSeconds = 0,
  }: { code: number; records?: readonly DnsData[]; ttlSeconds?: number },
): Uint8Array<ArrayBuffer> {
  const data = records.map(encodeData);
  const length = data.reduce((sum, { bytes }) => sum + 12 + bytes.length, question.end);
  const answer = new Uint8Array(length);
  answer.set(query.subarray(0, question.end));
  const view = viewOf(answer);
  const desired = view.getUint16(2) & Flag.recursionDesired;
  view.setUint16(2, Flag.response | Flag.recursionAvailable | desired | code);
  view.setUint16(6, data.length);
  view.setUint32(8, 0);
  let at = question.end;
  for (const { type, bytes } of data) {
    // The name is a pointer to the question's.
    view.setUint16(at, 0xc000 | HEADER_BYTES);
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS_INTERNET);
    view.setUint32(at + 6, ttlSeconds);
    view.setUint16(at + 10, bytes.length);
    answer.set(bytes, at + 12);
    at += 12 + bytes.length;
  }
  return answer;
}

/** An answer that may be too long for UDP: cut off behind the question then, and marked, so that it is asked again by TCP. */
export function fitToUdp(answer: Uint8Array, question: DnsQuestion): Uint8Array {
  if (answer.length <= question.maxUdpBytes) return answer;
  const cut = answer.slice(0, question.end);
  const view = viewOf(cut);
  view.setUint16(2, view.getUint16(2) | Flag.truncated);
  view.setUint16(6, 0);
  view.setUint32(8, 0);
  return cut;
}

/** Reads an answer; undefined where it is none. What is cut off or wrong in its records is left out. */
export function readDnsAnswer(message: Uint8Array): DnsAnswer | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const view = viewOf(message);
  const flags = view.getUint16(2);
  if ((flags & Flag.response) === 0) return undefined;
  const answers: string[] = [];
  let at = HEADER_BYTES;
  for (let left = view.getUint16(4); left > 0; left--) at = (readName(message, at)?.end ?? NaN) + 4;
  for (let left = view.getUint16(6); left > 0; left--) {
    const end = readName(message, at)?.end ?? NaN;
    if (!(end + 10 <= message.length)) break;
    const length = view.getUint16(end + 8);
    at = end + 10 + length;
    if (at > message.length) break;
    answers.push(describeRecord(message, view.getUint16(end), end + 10, length));
  }
  const isTruncated = (flags & Flag.truncated) !== 0;
  return { id: view.getUint16(0), code: flags & CODE_MASK, answers, isTruncated };
}

/** The name that asks for an address's own name (RFC 1035, 3.5; RFC 3596, 2.5). */
export function reverseName({ family, bytes }: IpAddress): string {
  if (family === 4) return `${[...bytes].reverse().join(".")}.in-addr.arpa`;
  const nibbles = [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
  return `${nibbles
    .reverse()
    .map((nibble) => nibble.toString(16))
    .join(".")}.ip6.arpa`;
}

/** Whether a text can be a name in a message: labels of 1 to 63 bytes, 255 in all. */
export function isDnsName(text: string): boolean {
  const labels = text.split(".");
  return text.length <= MAX_NAME_BYTES - 2 && labels.every((label) => /^[!-~]{1,63}$/.test(label));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A name that may end in a pointer (RFC 1035, 4.1.4). Pointers that lead forwards, or in circles, make it none. */
function readName(message: Uint8Array, start: number): Name | undefined {
  const labels: string[] = [];
  let at = start;
  let end: number | undefined;
  let bytes = 0;
  for (;;) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length >= 0xc0) {
      const target = ((length & 0x3f) << 8) | (message[at + 1] ?? 0);
      end ??= at + 2;
      if (target >= at) return undefined;
      at = target;
      continue;
    }
    if (length === 0) return { text: labels.join(".").toLowerCase(), end: end ?? at + 1 };
    bytes += length + 1;
    if (length > 63 || bytes > MAX_NAME_BYTES || at + length >= message.length) return undefined;
    labels.push(String.fromCharCode(...message.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
}

/** EDNS says how long an answer may be (RFC 6891, 6.1.2): the class of an OPT record, which most queries have as their only one. */
function readEdnsSize(message: Uint8Array, at: number, view: DataView): number {
  const isOpt =
    view.getUint16(10) > 0 &&
    at + 5 <= message.length &&
    message[at] === 0 &&
    view.getUint16(at + 1) === TYPE_OPT;
  return isOpt ? Math.max(PLAIN_UDP_BYTES, view.getUint16(at + 3)) : PLAIN_UDP_BYTES;
}

function encodeData(data: DnsData): { readonly type: number; readonly bytes: Uint8Array } {
  if ("bytes" in data)
    return { type: data.family === 4 ? DnsType.A : DnsType.AAAA, bytes: data.bytes };
  const bytes = data.name.split(".").flatMap((label) => {
    const characters = [...new TextEncoder().encode(label)];
    return [characters.length, ...characters];
  });
  return { type: DnsType.PTR, bytes: Uint8Array.from([...bytes, 0]) };
}

function describeRecord(message: Uint8Array, type: number, at: number, length: number): string {
  const isAddress =
    (type === DnsType.A && length === 4) || (type === DnsType.AAAA && length === 16);
  if (isAddress) return ipAddressFromBytes(message.subarray(at, at + length)).address;
  if (type === DnsType.CNAME || type === DnsType.PTR || type === DnsType.NS) {
    return readName(message, at)?.text ?? dnsTypeName(type);
  }
  return dnsTypeName(type);
}
