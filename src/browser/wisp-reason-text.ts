/** What a relay's CLOSE means, in words. */
import { WispReason } from "../wisp.js";

const REASON_TEXTS: ReadonlyMap<number, string> = new Map([
  [WispReason.unknown, "for no stated reason"],
  [WispReason.voluntary, "by itself"],
  [WispReason.networkError, "after an error of its network"],
  [WispReason.incompatibleExtensions, "the extensions do not fit"],
  [WispReason.blocked, "its policy forbids it"],
  [WispReason.throttled, "too much was asked of it"],
  [WispReason.badPassword, "user or password is wrong"],
  [WispReason.badSignature, "the key is not one that it knows"],
  [WispReason.credentialsMissing, "it asks for credentials"],
]);

/** A reason in words, to go on behind "the relay ended the connection:". */
export function wispReasonText(reason: WispReason): string {
  return REASON_TEXTS.get(reason) ?? `reason 0x${reason.toString(16)}`;
}
