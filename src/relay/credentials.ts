/**
 * Who a Wisp client is: a user with a password, or the holder of an Ed25519 key (Wisp v2, extensions 2 and 3). Where both are set, either
 * will do. Version 1 has no credentials, so its clients are turned away where there are any.
 */
import {
  createHash,
  createPublicKey,
  randomBytes,
  timingSafeEqual,
  verify,
  type KeyObject,
} from "node:crypto";
import { ErrorCode, SlirpError } from "../errors.js";
import {
  decodeKeyAnswer,
  decodePassword,
  encodeKeyOffer,
  encodePasswordOffer,
  KEY_ALGORITHM_ED25519,
  WispExtensionId,
} from "../wisp-extensions.js";
import { WispReason, type WispExtension } from "../wisp.js";

/** Who may come. */
export interface CredentialOptions {
  /** Passwords by user name. */
  readonly users?: Readonly<Record<string, string>>;
  /** Public Ed25519 keys: PEM (SPKI), or the 32 bytes in base64. */
  readonly keys?: readonly string[];
}

/** What an Ed25519 key begins with in DER (RFC 8410, 4). */
const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const RAW_KEY_BYTES = 32;
const CHALLENGE_BYTES = 64;

/** See the top of the file. */
export class Credentials {
  readonly #users: ReadonlyMap<string, string>;
  /** By SHA-256 of the raw key, in hex. */
  readonly #keys: ReadonlyMap<string, KeyObject>;

  /** @throws SlirpError `invalidConfiguration` for a key that cannot be read. */
  constructor({ users = {}, keys = [] }: CredentialOptions) {
    this.#users = new Map(Object.entries(users));
    this.#keys = new Map(keys.map((text, index) => readKey(text, index)));
  }

  /** Nobody is asked. */
  get areNone(): boolean {
    return this.#users.size === 0 && this.#keys.size === 0;
  }

  /** A challenge for one client. */
  newChallenge(): Uint8Array {
    return randomBytes(CHALLENGE_BYTES);
  }

  /** What the server's INFO has of it. */
  offer(challenge: Uint8Array): WispExtension[] {
    const offered: WispExtension[] = [];
    if (this.#users.size > 0) {
      const metadata = encodePasswordOffer(this.#keys.size === 0);
      offered.push({ id: WispExtensionId.password, metadata });
    }
    if (this.#keys.size > 0) {
      const required = this.#users.size === 0;
      const metadata = encodeKeyOffer({ required, algorithms: KEY_ALGORITHM_ED25519, challenge });
      offered.push({ id: WispExtensionId.key, metadata });
    }
    return offered;
  }

  /** Judges a client's INFO: the reason to turn it away, or undefined. */
  judge(given: ReadonlyMap<number, Uint8Array>, challenge: Uint8Array): number | undefined {
    if (this.areNone) return undefined;
    const password = this.#users.size > 0 ? given.get(WispExtensionId.password) : undefined;
    const key = this.#keys.size > 0 ? given.get(WispExtensionId.key) : undefined;
    if (!password && !key) return WispReason.credentialsMissing;
    if (password && this.#knowsPassword(password)) return undefined;
    if (key && this.#knowsKey(key, challenge)) return undefined;
    return key ? WispReason.badSignature : WispReason.badPassword;
  }

  #knowsPassword(metadata: Uint8Array): boolean {
    return decodePassword(metadata).some(({ user, password }) => {
      const expected = this.#users.get(user);
      return isEqual(password, expected ?? "") && expected !== undefined;
    });
  }

  #knowsKey(metadata: Uint8Array, challenge: Uint8Array): boolean {
    const answer = decodeKeyAnswer(metadata);
    if (answer?.algorithm !== KEY_ALGORITHM_ED25519) return false;
    const key = this.#keys.get(Buffer.from(answer.publicKeyHash).toString("hex"));
    return key !== undefined && verify(null, challenge, key, answer.signature);
  }
}

function readKey(text: string, index: number): [hash: string, key: KeyObject] {
  const bad = (problem: string, cause?: unknown): SlirpError =>
    new SlirpError(
      ErrorCode.invalidConfiguration,
      `key ${String(index + 1)}: ${problem}; give a public Ed25519 key as PEM, or its 32 bytes in base64`,
      { cause },
    );
  let key: KeyObject;
  try {
    key = text.includes("-----BEGIN")
      ? createPublicKey(text)
      : createPublicKey({ key: rawToSpki(text), format: "der", type: "spki" });
  } catch (cause) {
    throw bad("it cannot be read", cause);
  }
  if (key.asymmetricKeyType !== "ed25519")
    throw bad(`it is of type ${key.asymmetricKeyType ?? ""}`);
  const raw = key.export({ format: "der", type: "spki" }).subarray(-RAW_KEY_BYTES);
  return [createHash("sha256").update(raw).digest("hex"), key];
}

function rawToSpki(text: string): Buffer {
  const raw = Buffer.from(text.trim(), "base64");
  if (raw.length !== RAW_KEY_BYTES) throw new Error(`it has ${String(raw.length)} bytes`);
  return Buffer.concat([ED25519_SPKI_PREFIX, raw]);
}

/** Compares without telling by its time where the difference is. */
export function isEqual(given: string, expected: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(expected);
  // Lengths are no secret; a comparison is made all the same.
  return timingSafeEqual(a, a.length === b.length ? b : a) && a.length === b.length;
}
