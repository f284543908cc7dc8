/** Batches and pieces for backends that take one frame after the other. */
import { SendStatus, type FrameBatch, type SendResult } from "../backend.js";

/** A `SendResult` that is filled again and again, so that no batch allocates one. */
export type ReusedSendResult = { -readonly [Field in keyof SendResult]: SendResult[Field] };

/** Makes one for {@link sendEach}. */
export function emptySendResult(): ReusedSendResult {
  return { status: SendStatus.taken, consumed: 0, dropped: 0 };
}

/** What `sendBatch` is to do (src/backend.ts), by a call for each frame: up to the first that must wait. Answers `result`, filled anew. */
export function sendEach(
  result: ReusedSendResult,
  { bytes, count, offsets, lengths }: FrameBatch,
  sendOne: (bytes: Uint8Array, offset: number, length: number) => SendStatus,
): SendResult {
  result.status = SendStatus.taken;
  result.consumed = 0;
  result.dropped = 0;
  for (let i = 0; i < count; i++) {
    const status = sendOne(bytes, offsets[i] ?? 0, lengths[i] ?? 0);
    if (status !== SendStatus.taken) result.status = status;
    if (status === SendStatus.mustWait) break;
    result.consumed++;
    if (status === SendStatus.dropped) result.dropped++;
  }
  return result;
}

/** The pieces of one frame behind each other; undefined where that is more than `maxBytes`. One piece alone is not copied. */
export function joinPieces(
  pieces: readonly Uint8Array[],
  maxBytes: number,
): Uint8Array | undefined {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  if (length > maxBytes) return undefined;
  const [first] = pieces;
  if (pieces.length === 1 && first) return first;
  const frame = new Uint8Array(length);
  let end = 0;
  for (const piece of pieces) {
    frame.set(piece, end);
    end += piece.length;
  }
  return frame;
}
