/**
 * Wisp packets: how a browser's WebSocket carries many TCP and UDP streams to a relay. Both ends use this file.
 *
 * One packet a binary WebSocket message, little-endian: `u8 type | u32 streamId | payload`
 * (https://github.com/MercuryWorkshop/wisp-protocol, versions 1 and 2). Decoding trusts nothing: whatever is not a packet is
 * answered with what is wrong about it. Payloads are views on the message, never copies.
 */

/** Packet types (Wisp v1, 3; INFO: v2, 3.5). */
export const WispType = {
  connect: 0x01,
  data: 0x02,
  continue: 0x03,
  close: 0x04,
  info: 0x05,
} as const;

/** Why a stream, or with stream 0 the connection, ended (Wisp v2, 3.4). */
export const WispReason = {
  unknown: 0x01,
  voluntary: 0x02,
  networkError: 0x03,
  incompatibleExtensions: 0x04,
  /** The target is not one: bad host name, bad port, bad kind, or a packet that cannot be read. */
  invalid: 0x41,
  unreachable: 0x42,
  connectTimeout: 0x43,
  refused: 0x44,
  transferTimeout: 0x47,
  blocked: 0x48,
  throttled: 0x49,
  clientError: 0x81,
  badPassword: 0xc0,
  badSignature: 0xc1,
  credentialsMissing: 0xc2,
} as const;

/** One of the values of {@link WispReason}, or whatever else the other side said: 0 to 255. */
export type WispReason = number;

/** What a stream speaks; values of CONNECT's first byte. */
export const WispKind = { tcp: 1, udp: 2 } as const;

/** One of the values of {@link WispKind}. */
export type WispKind = (typeof WispKind)[keyof typeof WispKind];

/** Bytes of a packet before its payload. */
export const WISP_HEADER_BYTES = 5;

/** The value of `Sec-WebSocket-Protocol` by which a client asks for version 2. */
export const WISP_V2_SUBPROTOCOL = "wisp-v2";

/** Stream 0: the connection itself. */
export const CONNECTION_ID = 0;

/** One extension in INFO: id and metadata (Wisp v2, 3.5 and 4). */
export interface WispExtension {
  readonly id: number;
  readonly metadata: Uint8Array;
}

/** A packet, decoded. `streamId` is 0 for the connection. */
export type WispPacket =
  | { readonly type: "connect"; streamId: number; kind: number; port: number; host: string }
  | { readonly type: "data"; streamId: number; payload: Uint8Array }
  | { readonly type: "continue"; streamId: number; credits: number }
  | { readonly type: "close"; streamId: number; reason: WispReason }
  | {
      readonly type: "info";
      streamId: number;
      major: number;
      minor: number;
      extensions: readonly WispExtension[];
    }
  | { readonly type: "unknown"; streamId: number; code: number }
  | { readonly type: "malformed"; streamId: number; problem: string };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Text to the end of the message; undefined where it is not UTF-8, is empty, or has a NUL or a control character in it. */
function readHost(bytes: Uint8Array): string | undefined {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return undefined;
  }
  // eslint-disable-next-line no-control-regex -- a host name has none, and a log must not get any
  return text === "" || /[\u0000-\u0020\u007f]/.test(text) ? undefined : text;
}

/** Decodes one message. Never throws: what cannot be read is `malformed`, with what was wrong; a new type is `unknown`. */
export function decodePacket(message: Uint8Array): WispPacket {
  if (message.length < WISP_HEADER_BYTES) {
    const problem = `${String(message.length)} bytes are no packet: its header has ${String(WISP_HEADER_BYTES)}`;
    return { type: "malformed", streamId: CONNECTION_ID, problem };
  }
  const view = viewOf(message);
  const code = view.getUint8(0);
  const streamId = view.getUint32(1, true);
  const payload = message.subarray(WISP_HEADER_BYTES);
  const decoded = decodePayload(code, streamId, payload);
  return typeof decoded === "string" ? { type: "malformed", streamId, problem: decoded } : decoded;
}

function decodePayload(code: number, streamId: number, payload: Uint8Array): WispPacket | string {
  const view = viewOf(payload);
  switch (code) {
    case WispType.data:
      return { type: "data", streamId, payload };
    case WispType.connect:
      return decodeConnect(streamId, payload);
    case WispType.continue:
      if (payload.length < 4) return "CONTINUE without 4 bytes of credits";
      return { type: "continue", streamId, credits: view.getUint32(0, true) };
    case WispType.close:
      if (payload.length < 1) return "CLOSE without a reason";
      return { type: "close", streamId, reason: view.getUint8(0) };
    case WispType.info:
      return decodeInfo(streamId, payload);
    default:
      return { type: "unknown", streamId, code };
  }
}

function decodeConnect(streamId: number, payload: Uint8Array): WispPacket | string {
  if (payload.length < 4) return "CONNECT without kind, port and host";
  const host = readHost(payload.subarray(3));
  if (host === undefined) return "CONNECT with a host that is not UTF-8 text without spaces";
  const view = viewOf(payload);
  const kind = view.getUint8(0);
  return { type: "connect", streamId, kind, port: view.getUint16(1, true), host };
}

function decodeInfo(streamId: number, payload: Uint8Array): WispPacket | string {
  if (payload.length < 2) return "INFO without a version";
  const view = viewOf(payload);
  const extensions: WispExtension[] = [];
  for (let at = 2; at < payload.length;) {
    if (payload.length - at < 5) return "INFO with half an extension";
    const length = view.getUint32(at + 1, true);
    const start = at + 5;
    if (length > payload.length - start) return "INFO with an extension longer than itself";
    extensions.push({
      id: view.getUint8(at),
      metadata: payload.subarray(start, start + length),
    });
    at = start + length;
  }
  return {
    type: "info",
    streamId,
    major: view.getUint8(0),
    minor: view.getUint8(1),
    extensions,
  };
}

/** Writes a packet's header to the front of `target`: for who gathers DATA behind it in place. */
export function writeHeader(target: Uint8Array, code: number, streamId: number): void {
  target[0] = code;
  target[1] = streamId & 0xff;
  target[2] = (streamId >>> 8) & 0xff;
  target[3] = (streamId >>> 16) & 0xff;
  target[4] = streamId >>> 24;
}

function packet(code: number, streamId: number, payloadBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(WISP_HEADER_BYTES + payloadBytes);
  writeHeader(bytes, code, streamId);
  return bytes;
}

/** DATA with a copy of `payload`. */
export function encodeData(streamId: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = packet(WispType.data, streamId, payload.length);
  bytes.set(payload, WISP_HEADER_BYTES);
  return bytes;
}

/** CONTINUE: the receiver's room is `credits` packets from now on; it replaces what was left, it does not add. */
export function encodeContinue(streamId: number, credits: number): Uint8Array<ArrayBuffer> {
  const bytes = packet(WispType.continue, streamId, 4);
  viewOf(bytes).setUint32(WISP_HEADER_BYTES, credits, true);
  return bytes;
}

/** CLOSE. */
export function encodeClose(streamId: number, reason: WispReason): Uint8Array<ArrayBuffer> {
  const bytes = packet(WispType.close, streamId, 1);
  bytes[WISP_HEADER_BYTES] = reason;
  return bytes;
}

/** CONNECT. An IPv6 address stands bare: servers in use fail on brackets. */
export function encodeConnect(
  streamId: number,
  kind: WispKind,
  host: string,
  port: number,
): Uint8Array<ArrayBuffer> {
  const name = encoder.encode(host);
  const bytes = packet(WispType.connect, streamId, 3 + name.length);
  bytes[WISP_HEADER_BYTES] = kind;
  viewOf(bytes).setUint16(WISP_HEADER_BYTES + 1, port, true);
  bytes.set(name, WISP_HEADER_BYTES + 3);
  return bytes;
}

/** INFO of version 2.0 with these extensions. */
export function encodeInfo(extensions: readonly WispExtension[]): Uint8Array<ArrayBuffer> {
  const length = extensions.reduce((sum, { metadata }) => sum + 5 + metadata.length, 2);
  const bytes = packet(WispType.info, CONNECTION_ID, length);
  const view = viewOf(bytes);
  view.setUint8(WISP_HEADER_BYTES, 2);
  let at = WISP_HEADER_BYTES + 2;
  for (const { id, metadata } of extensions) {
    view.setUint8(at, id);
    view.setUint32(at + 1, metadata.length, true);
    bytes.set(metadata, at + 5);
    at += 5 + metadata.length;
  }
  return bytes;
}
