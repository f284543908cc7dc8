/** What a connection of the raw guest has received: in order, with its digest, and remembered for a while. */
import { createHash } from "node:crypto";

/** How far back a retransmission is compared with what came the first time. */
const REMEMBERED_BYTES = 256 * 1024;

/** See the top of the file. */
export class ReceivedBytes {
  count = 0;
  private readonly digest = createHash("sha256");
  private unread: Uint8Array[] = [];
  /** The last pieces, oldest first, up to `count`. */
  private recent: Uint8Array[] = [];
  private recentBytes = 0;

  add(bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.digest.update(copy);
    this.unread.push(copy);
    this.recent.push(copy);
    this.count += copy.length;
    this.recentBytes += copy.length;
    while (this.recentBytes > REMEMBERED_BYTES) {
      this.recentBytes -= this.recent.shift()?.length ?? 0;
    }
  }

  /** What came since the last call. */
  take(): Buffer {
    const bytes = Buffer.concat(this.unread);
    this.unread = [];
    return bytes;
  }

  /** SHA-256 of everything, hexadecimal. */
  digestSoFar(): string {
    return this.digest.copy().digest("hex");
  }

  /** True where `bytes` are what came from `position` on, as far as that is remembered and has come. */
  matches(position: number, bytes: Uint8Array): boolean {
    let start = this.count - this.recentBytes;
    for (const piece of this.recent) {
      const from = Math.max(position, start);
      const to = Math.min(position + bytes.length, start + piece.length);
      if (from < to) {
        const here = Buffer.from(piece.buffer, piece.byteOffset + from - start, to - from);
        if (!here.equals(bytes.subarray(from - position, to - position))) return false;
      }
      start += piece.length;
    }
    return true;
  }
}
