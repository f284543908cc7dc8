/**
 * What a Wisp client offers and what it answers (Wisp v2, 3.5): from a server's INFO to ours, and what both then have in
 * use. Pure but for the signature, which WebCrypto makes.
 */
import {
  decodeKeyOffer,
  decodeMotd,
  decodePasswordOffer,
  decodeStreamControl,
  encodeKeyAnswer,
  encodePassword,
  encodeStreamControl,
  KEY_ALGORITHM_ED25519,
  WispExtensionId,
  type PasswordDraft,
} from "../wisp-extensions.js";
import { decodeListenOffer, encodeListenToken, LISTEN_EXTENSION_ID } from "../wisp-listen.js";
import { encodeInfo, type WispExtension } from "../wisp.js";

/** Who we are to a relay; each is used only where the relay offers the extension. */
export interface WispCredentials {
  /** Goes with `password`. */
  readonly user?: string;
  /** Sent as the relay is found to read it; over `wss:` only, if it is to stay secret. */
  readonly password?: string;
  /** An Ed25519 key pair of WebCrypto; the public key must be extractable. */
  readonly keyPair?: CryptoKeyPair;
  /** What the relay wants to know before it opens ports. */
  readonly forwardToken?: string;
}

/** What is in use on a connection. */
export interface WispFeatures {
  /** UDP streams. Version 1 always has them. */
  readonly udp: boolean;
  /** CONTINUE for a stream tells that it is connected. */
  readonly openConfirmation: boolean;
  /** Windows in both directions, half-close, reset. */
  readonly streamControl: boolean;
  /** Whether the relay opens ports; `needsToken`: not for us. */
  readonly listen: "yes" | "no" | "needsToken";
  /** What the relay says of itself. */
  readonly motd: string | undefined;
}

/** Version 1. */
export const PLAIN_FEATURES: WispFeatures = {
  udp: true,
  openConfirmation: false,
  streamControl: false,
  listen: "no",
  motd: undefined,
};

/** Our INFO and what it brings into use. */
export interface WispAnswer {
  readonly info: Uint8Array<ArrayBuffer>;
  /** A password is in it. */
  readonly hasPassword: boolean;
  readonly features: WispFeatures;
}

/**
 * Answers a server's INFO.
 * @throws Error where the server demands what we have not been given, or WebCrypto refuses the key.
 */
export async function answerInfo(
  offered: readonly WispExtension[],
  credentials: WispCredentials,
  { windowBytes, passwordDraft }: { windowBytes: number; passwordDraft: PasswordDraft },
): Promise<WispAnswer> {
  const offer = new Map(offered.map(({ id, metadata }) => [id, metadata]));
  const ours: WispExtension[] = [];
  const take = (id: number, metadata: Uint8Array = new Uint8Array()): true => {
    ours.push({ id, metadata });
    return true;
  };
  const { udp, openConfirmation, motd, streamControl } = WispExtensionId;
  const motdBytes = offer.get(motd);
  if (motdBytes) take(motd);
  await answerCredentials(offer, credentials, passwordDraft, take);
  const control = offer.get(streamControl);
  const features: WispFeatures = {
    udp: offer.has(udp) && take(udp),
    openConfirmation: offer.has(openConfirmation) && take(openConfirmation),
    streamControl:
      control !== undefined &&
      decodeStreamControl(control) !== undefined &&
      take(streamControl, encodeStreamControl(windowBytes)),
    listen: answerListen(offer.get(LISTEN_EXTENSION_ID), credentials, take),
    motd: motdBytes && decodeMotd(motdBytes),
  };
  const hasPassword = ours.some(({ id }) => id === WispExtensionId.password);
  return { info: encodeInfo(ours), hasPassword, features };
}

function answerListen(
  metadata: Uint8Array | undefined,
  { forwardToken }: WispCredentials,
  take: (id: number, metadata: Uint8Array) => void,
): WispFeatures["listen"] {
  const offer = metadata && decodeListenOffer(metadata);
  if (!offer) return "no";
  if (offer.needsToken && forwardToken === undefined) return "needsToken";
  take(LISTEN_EXTENSION_ID, encodeListenToken(forwardToken ?? ""));
  return "yes";
}

async function answerCredentials(
  offer: ReadonlyMap<number, Uint8Array>,
  { user, password, keyPair }: WispCredentials,
  draft: PasswordDraft,
  take: (id: number, metadata: Uint8Array) => void,
): Promise<void> {
  const { password: passwordId, key: keyId } = WispExtensionId;
  const passwordOffer = offer.get(passwordId);
  const keyOffer = offer.get(keyId);
  const key = keyOffer && decodeKeyOffer(keyOffer);
  if (passwordOffer && password !== undefined) {
    take(passwordId, encodePassword({ user: user ?? "", password }, draft));
  } else if (passwordOffer && decodePasswordOffer(passwordOffer)) {
    throw new Error("the relay asks for a password, and none was given");
  }
  if (key && keyPair && (key.algorithms & KEY_ALGORITHM_ED25519) !== 0) {
    take(keyId, await signChallenge(key.challenge, keyPair));
  } else if (key?.required) {
    throw new Error("the relay asks for an Ed25519 key, and none was given");
  }
}

async function signChallenge(
  challenge: Uint8Array,
  { publicKey, privateKey }: CryptoKeyPair,
): Promise<Uint8Array> {
  const raw = await crypto.subtle.exportKey("raw", publicKey);
  const hash = await crypto.subtle.digest("SHA-256", raw);
  const signature = await crypto.subtle.sign("Ed25519", privateKey, Uint8Array.from(challenge));
  return encodeKeyAnswer({
    algorithm: KEY_ALGORITHM_ED25519,
    publicKeyHash: new Uint8Array(hash),
    signature: new Uint8Array(signature),
  });
}
