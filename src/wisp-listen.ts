/**
 * Our extension "listen" of Wisp v2: a client asks the relay to open a port, and gets who connects to it as streams.
 *
 * In INFO (id {@link LISTEN_EXTENSION_ID}) the server's metadata is `u8 version (1) | u8 flags`, bit 0 of which says that a token is
 * demanded; the client's is `u8 version (1) | token`, UTF-8. Where both have it, there are three more packets, with Wisp's header of
 * type and id:
 * - LISTEN, client to server; the id is a new one of the client's, the listener's from then on:
 *   `u8 kind (1 TCP, 2 UDP) | u8 flags | u16 port | address`. Bit 0 of the flags: an IPv6 wildcard takes no IPv4. Port 0: any that is free.
 *   The address is text; empty: as the relay likes;
 * - BOUND, server to client: `u8 result | u16 port | text`, for result 0 the port and address it got, else the reason in words;
 * - INCOMING, server to client; the id is a new one of the server's, {@link FIRST_SERVER_ID} and up, and that of a TCP stream that is
 *   connected: `u32 listener | u16 port | address`, both of the peer. Then come DATA, CONTINUE and CLOSE as for any stream; the client's
 *   credits are those of CONTINUE 0.
 * DATA with a UDP listener's id is a datagram, both ways, behind its peer: `u8 address length (4 or 16) | address | u16 port | payload`.
 * CLOSE with a listener's id ends it, both ways; streams that it gave go on.
 */
import { ipAddressFromBytes, ipEndpoint, type IpEndpoint } from "./address.js";
import { WISP_HEADER_BYTES, type WispKind, writeHeader } from "./wisp.js";

/** See the top of the file. */
export const LISTEN_EXTENSION_ID = 0xe7;

const LISTEN_VERSION = 1;

/** Types of the extension's packets. */
export const ListenType = { listen: 0xe1, bound: 0xe2, incoming: 0xe3 } as const;

/** Ids of streams that the server begins: those that clients do not use, for some servers take them for negative. */
export const FIRST_SERVER_ID = 0x8000_0000;

/** What became of a LISTEN. */
export const BindResult = {
  bound: 0,
  addressInUse: 1,
  addressNotAvailable: 2,
  /** The relay's policy: port or address are not among those it opens. */
  forbidden: 3,
  /** As many listeners as there may be. */
  tooMany: 4,
  /** The token is missing or wrong. */
  badToken: 5,
  other: 6,
} as const;

/** One of the values of {@link BindResult}, or another number. */
export type BindResult = number;

/** A packet of the extension. */
export type ListenPacket =
  | {
      readonly type: "listen";
      readonly id: number;
      readonly kind: number;
      readonly ipv6Only: boolean;
      readonly port: number;
      readonly address: string;
    }
  | {
      readonly type: "bound";
      readonly id: number;
      readonly result: BindResult;
      readonly port: number;
      /** The address, or the reason. */
      readonly text: string;
    }
  | {
      readonly type: "incoming";
      readonly id: number;
      readonly listener: number;
      readonly port: number;
      readonly address: string;
    }
  | { readonly type: "malformed"; readonly problem: string };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A packet with `fixedBytes` to be filled in, and text behind them. */
function packet(
  type: number,
  id: number,
  fixedBytes: number,
  text: string,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly view: DataView } {
  const encoded = encoder.encode(text);
  const bytes = new Uint8Array(WISP_HEADER_BYTES + fixedBytes + encoded.length);
  writeHeader(bytes, type, id);
  bytes.set(encoded, WISP_HEADER_BYTES + fixedBytes);
  return { bytes, view: viewOf(bytes.subarray(WISP_HEADER_BYTES)) };
}

/** LISTEN. */
export function encodeListen(
  id: number,
  kind: WispKind,
  { address, port, ipv6Only }: { address: string; port: number; ipv6Only: boolean },
): Uint8Array<ArrayBuffer> {
  const { bytes, view } = packet(ListenType.listen, id, 4, address);
  view.setUint8(0, kind);
  view.setUint8(1, Number(ipv6Only));
  view.setUint16(2, port, true);
  return bytes;
}

/** BOUND; `text` is the address for {@link BindResult.bound}, else the reason. */
export function encodeBound(
  id: number,
  result: BindResult,
  port: number,
  text: string,
): Uint8Array<ArrayBuffer> {
  const { bytes, view } = packet(ListenType.bound, id, 3, text);
  view.setUint8(0, result);
  view.setUint16(1, port, true);
  return bytes;
}

/** INCOMING. */
export function encodeIncoming(
  id: number,
  listener: number,
  peer: { readonly address: string; readonly port: number },
): Uint8Array<ArrayBuffer> {
  const { bytes, view } = packet(ListenType.incoming, id, 6, peer.address);
  view.setUint32(0, listener, true);
  view.setUint16(4, peer.port, true);
  return bytes;
}

/** Decodes a packet of the extension; undefined for any other. Never throws. */
export function decodeListenPacket(message: Uint8Array): ListenPacket | undefined {
  const [code] = message;
  if (message.length < WISP_HEADER_BYTES) return undefined;
  const id = viewOf(message).getUint32(1, true);
  const payload = message.subarray(WISP_HEADER_BYTES);
  switch (code) {
    case ListenType.listen:
      return decodeListen(id, payload) ?? malformed("LISTEN");
    case ListenType.bound:
      return decodeBound(id, payload) ?? malformed("BOUND");
    case ListenType.incoming:
      return decodeIncoming(id, payload) ?? malformed("INCOMING");
    default:
      return undefined;
  }
}

function malformed(name: string): ListenPacket {
  return { type: "malformed", problem: `${name} that is too short, or whose text is not UTF-8` };
}

function readText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function decodeListen(id: number, payload: Uint8Array): ListenPacket | undefined {
  const address = readText(payload.subarray(4));
  if (payload.length < 4 || address === undefined) return undefined;
  const view = viewOf(payload);
  return {
    type: "listen",
    id,
    kind: view.getUint8(0),
    ipv6Only: (view.getUint8(1) & 1) !== 0,
    port: view.getUint16(2, true),
    address,
  };
}

function decodeBound(id: number, payload: Uint8Array): ListenPacket | undefined {
  const text = readText(payload.subarray(3));
  if (payload.length < 3 || text === undefined) return undefined;
  const view = viewOf(payload);
  return { type: "bound", id, result: view.getUint8(0), port: view.getUint16(1, true), text };
}

function decodeIncoming(id: number, payload: Uint8Array): ListenPacket | undefined {
  const address = readText(payload.subarray(6));
  if (payload.length < 6 || address === undefined) return undefined;
  const view = viewOf(payload);
  const listener = view.getUint32(0, true);
  return { type: "incoming", id, listener, port: view.getUint16(4, true), address };
}

/** The payload of a datagram's DATA. */
export function encodePeerDatagram(
  peer: Pick<IpEndpoint, "bytes" | "port">,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { bytes: address, port } = peer;
  const bytes = new Uint8Array(3 + address.length + payload.length);
  bytes[0] = address.length;
  bytes.set(address, 1);
  viewOf(bytes).setUint16(1 + address.length, port, true);
  bytes.set(payload, 3 + address.length);
  return bytes;
}

/** Reads it; undefined where it is none. The payload is a view. */
export function decodePeerDatagram(
  bytes: Uint8Array,
): { readonly peer: IpEndpoint; readonly payload: Uint8Array } | undefined {
  const length = bytes[0] ?? 0;
  if ((length !== 4 && length !== 16) || bytes.length < 3 + length) return undefined;
  const port = viewOf(bytes).getUint16(1 + length, true);
  const peer = ipEndpoint(ipAddressFromBytes(bytes.subarray(1, 1 + length)), port);
  return { peer, payload: bytes.subarray(3 + length) };
}

/** The server's metadata. */
export function encodeListenOffer(needsToken: boolean): Uint8Array {
  return Uint8Array.of(LISTEN_VERSION, Number(needsToken));
}

/** Reads it; undefined for another version. */
export function decodeListenOffer(
  metadata: Uint8Array,
): { readonly needsToken: boolean } | undefined {
  const [version, flags = 0] = metadata;
  return version === LISTEN_VERSION ? { needsToken: (flags & 1) !== 0 } : undefined;
}

/** The client's metadata. */
export function encodeListenToken(token: string): Uint8Array {
  return Uint8Array.of(LISTEN_VERSION, ...encoder.encode(token));
}

/** Reads it: the token, perhaps empty; undefined for another version. */
export function decodeListenToken(metadata: Uint8Array): string | undefined {
  return metadata[0] === LISTEN_VERSION ? readText(metadata.subarray(1)) : undefined;
}
