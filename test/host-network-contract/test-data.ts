/** Bytes that are the same in every run and do not repeat, so that a lost, doubled or moved piece changes the digest. */
import { createHash } from "node:crypto";

/** `length` bytes of a xorshift generator that starts at `seed`. */
export function testBytes(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed * 2654435761 || 1;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
