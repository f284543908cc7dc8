/**
 * Bytes that look random, the same for the same name, made as they are read: so a body of any size costs no memory, and its
 * hash is known to both sides.
 */
import { createCipheriv, createHash } from "node:crypto";
import { Readable } from "node:stream";

const CHUNK_BYTES = 64 * 1024;

/** AES-128 in counter mode over zeros, with a key made of the name. */
function* chunksOf(name: string, bytes: number): Generator<Buffer> {
  const key = createHash("sha256").update(name).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    yield cipher.update(zeros.subarray(0, Math.min(left, CHUNK_BYTES)));
  }
}

/** The bytes as a stream, which reads no further ahead than its reader wants. */
export function randomBody(name: string, bytes: number): Readable {
  return Readable.from(chunksOf(name, bytes), { objectMode: false });
}

/** Their SHA-256, in hexadecimal digits as sha256sum prints it. */
export function randomBodySha256(name: string, bytes: number): string {
  const hash = createHash("sha256");
  for (const chunk of chunksOf(name, bytes)) hash.update(chunk);
  return hash.digest("hex");
}
