/**
 * What the extensions of Wisp v2 carry in INFO (Wisp v2, 4): who offers and who answers, as bytes and as objects.
 *
 * An extension is in use when both INFO packets name it. Metadata that cannot be read is undefined, never an exception.
 */

/** Ids of extensions. 0xf0 is in use elsewhere. */
export const WispExtensionId = {
  /** UDP streams; no metadata. */
  udp: 0x01,
  password: 0x02,
  /** Ed25519 key. */
  key: 0x03,
  /** Message of the day, UTF-8. */
  motd: 0x04,
  /** The server sends CONTINUE for a stream once it is connected; no metadata. */
  openConfirmation: 0x05,
  /**
   * Ours: streams that behave as TCP does. Metadata, both ways: `u8 version (1) | u32 window`, the bytes of DATA that the
   * sender of the INFO takes on a TCP stream before it grants more. In use, it adds three rules to TCP streams:
   * - the server sends no more than the client's window; CONTINUE from client to server grants that many bytes more;
   * - DATA without a byte is FIN: its sender sends nothing more, and goes on receiving;
   * - CLOSE voluntary is an end in good order, CLOSE with any other reason is RST.
   */
  streamControl: 0xe6,
} as const;

/** Version of the stream control extension that this code speaks. */
const STREAM_CONTROL_VERSION = 1;

/** The one algorithm of the key extension: Ed25519 (RFC 8032). */
export const KEY_ALGORITHM_ED25519 = 1;

/** User name and password. */
export interface WispPassword {
  readonly user: string;
  readonly password: string;
}

/** Drafts of Wisp v2 that differ in how a password is written. */
export type PasswordDraft = 5 | 6;

/** The key extension's challenge. */
export interface WispKeyOffer {
  readonly required: boolean;
  /** OR of algorithms; 1 is Ed25519. */
  readonly algorithms: number;
  readonly challenge: Uint8Array;
}

/** A client's answer to it. */
export interface WispKeyAnswer {
  readonly algorithm: number;
  /** SHA-256 of the raw public key, 32 bytes. */
  readonly publicKeyHash: Uint8Array;
  /** Signature of the challenge. */
  readonly signature: Uint8Array;
}

const KEY_HASH_BYTES = 32;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

function text(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function join(...parts: (Uint8Array | readonly number[])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The password extension as a server offers it. */
export function encodePasswordOffer(required: boolean): Uint8Array {
  return Uint8Array.of(required ? 1 : 0);
}

/** Whether the server demands a password; a missing byte is no demand. */
export function decodePasswordOffer(metadata: Uint8Array): boolean {
  return metadata[0] === 1;
}

/**
 * User and password as draft 6 has them, `u8 user length | user | password`, or draft 5, `u8 user length | u16 password length | user |
 * password`. Throws a RangeError above 255 bytes of user, and in draft 5 above 65,535 bytes of password.
 */
export function encodePassword(
  { user, password }: WispPassword,
  draft: PasswordDraft = 6,
): Uint8Array {
  const name = encoder.encode(user);
  const secret = encoder.encode(password);
  if (name.length > 255) throw new RangeError("a user name has at most 255 bytes of UTF-8");
  if (draft === 6) return join([name.length], name, secret);
  if (secret.length > 0xffff) throw new RangeError("a password has at most 65535 bytes of UTF-8");
  return join([name.length, secret.length & 0xff, secret.length >> 8], name, secret);
}

/**
 * Reads either draft: 6 (`u8 user length | user | password`) or 5 (`u8 user length | u16 password length | user | password`).
 * Draft 5's lengths add up to the whole exactly. Where they do by chance in draft 6 both readings are candidates: the first
 * is draft 5's.
 */
export function decodePassword(metadata: Uint8Array): readonly WispPassword[] {
  const candidates: WispPassword[] = [];
  const [userLength = 0, lower = 0, upper = 0] = metadata;
  const add = (from: number): void => {
    const user = text(metadata.subarray(from, from + userLength));
    const password = text(metadata.subarray(from + userLength));
    if (user !== undefined && password !== undefined) candidates.push({ user, password });
  };
  const passwordLength = lower + 256 * upper;
  if (metadata.length >= 3 && metadata.length === 3 + userLength + passwordLength) add(3);
  if (metadata.length >= 1 + userLength && metadata.length > 0) add(1);
  return candidates;
}

/** The key extension as a server offers it. */
export function encodeKeyOffer({ required, algorithms, challenge }: WispKeyOffer): Uint8Array {
  return join([required ? 1 : 0, algorithms], challenge);
}

/** Reads it; undefined where it is too short to have a challenge. */
export function decodeKeyOffer(metadata: Uint8Array): WispKeyOffer | undefined {
  const [required, algorithms] = metadata;
  if (required === undefined || algorithms === undefined || metadata.length < 3) return undefined;
  return { required: required === 1, algorithms, challenge: metadata.subarray(2) };
}

/** A client's answer to the challenge. */
export function encodeKeyAnswer(answer: WispKeyAnswer): Uint8Array {
  return join([answer.algorithm], answer.publicKeyHash, answer.signature);
}

/** Reads it; undefined where it is too short for a hash and a signature. */
export function decodeKeyAnswer(metadata: Uint8Array): WispKeyAnswer | undefined {
  const algorithm = metadata[0];
  if (algorithm === undefined || metadata.length <= 1 + KEY_HASH_BYTES) return undefined;
  return {
    algorithm,
    publicKeyHash: metadata.subarray(1, 1 + KEY_HASH_BYTES),
    signature: metadata.subarray(1 + KEY_HASH_BYTES),
  };
}

/** Message of the day. */
export function encodeMotd(message: string): Uint8Array {
  return encoder.encode(message);
}

/** Reads it; undefined where it is not UTF-8. */
export function decodeMotd(metadata: Uint8Array): string | undefined {
  return text(metadata);
}

/** The stream control extension, as both sides send it: how many bytes of a stream this side takes unasked. */
export function encodeStreamControl(windowBytes: number): Uint8Array {
  const metadata = new Uint8Array(5);
  const view = new DataView(metadata.buffer);
  view.setUint8(0, STREAM_CONTROL_VERSION);
  view.setUint32(1, windowBytes, true);
  return metadata;
}

/** Reads it; undefined where it is of another version, or grants nothing. */
export function decodeStreamControl(
  metadata: Uint8Array,
): { readonly windowBytes: number } | undefined {
  if (metadata.length !== 5 || metadata[0] !== STREAM_CONTROL_VERSION) return undefined;
  const view = new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  const windowBytes = view.getUint32(1, true);
  return windowBytes === 0 ? undefined : { windowBytes };
}
