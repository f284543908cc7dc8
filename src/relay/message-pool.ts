/**
 * Memory of messages towards clients, used again: a fresh 64 KiB for each costs more in page faults than everything else that is
 * done with it. A message is taken here, filled, sent, and given back when the system has it (`relay-link.ts`).
 */
import { WISP_HEADER_BYTES } from "../wisp.js";

/** Bytes of one message, header included: what every client takes. */
const MESSAGE_BYTES = 64 * 1024;

/** Smaller messages are not worth it: Node has a pool for those. */
const SMALL_BYTES = 4 * 1024;

/** Messages kept: 16 MiB. */
const MAX_KEPT = 256;

/** Largest piece that a message holds behind its header. */
export const MAX_PIECE_BYTES = MESSAGE_BYTES - WISP_HEADER_BYTES;

const kept: Buffer[] = [];
/** The whole message that a part belongs to, by its memory. */
const wholes = new WeakMap<ArrayBufferLike, Buffer>();

/** A message with a copy of `piece` (at most {@link MAX_PIECE_BYTES}) behind room for a header. */
export function takeMessage(piece: Uint8Array): Buffer {
  const length = WISP_HEADER_BYTES + piece.length;
  const message =
    length <= SMALL_BYTES ? Buffer.allocUnsafe(length) : takeWhole().subarray(0, length);
  message.set(piece, WISP_HEADER_BYTES);
  return message;
}

/** Nobody looks at the message any more. Others than those of {@link takeMessage} may be given, and mean nothing. */
export function giveMessage(message: Uint8Array): void {
  const whole = wholes.get(message.buffer);
  if (whole && kept.length < MAX_KEPT) kept.push(whole);
}

function takeWhole(): Buffer {
  const found = kept.pop();
  if (found) return found;
  const whole = Buffer.allocUnsafeSlow(MESSAGE_BYTES);
  wholes.set(whole.buffer, whole);
  return whole;
}
