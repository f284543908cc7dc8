/**
 * QEMU's framing on byte streams (`-netdev stream`, `-netdev socket`): a 4 byte big-endian length before each frame
 * (net/socket.c and net/stream.c of QEMU, `net_socket_rs_init` and `net_fill_rstate`). No header before the frame.
 *
 * Parsing copies only what must be: frames that lie whole in a chunk are handed on where they are; the one that is cut by
 * the end of a chunk is put together in a memory kept for that.
 */
import type { FrameBatch } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";

/** The length that precedes each frame. */
const LENGTH_BYTES = 4;

/** QEMU's own bound for a frame on a stream (NET_BUFSIZE, net/net.h). */
export const MAX_STREAM_FRAME_BYTES = 4096 + 65_536;

/** How many frames a batch has at most; a chunk with more gives several. */
const BATCH_FRAMES = 1024;

/** Batches that are made again and again. */
interface MutableBatch {
  bytes: Uint8Array;
  count: number;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
}

/** Turns chunks of a stream into frames. Feed a chunk with `push`, then call `next` until it answers undefined. */
export class StreamFrameParser {
  readonly #maxFrameBytes: number;
  readonly #batch: MutableBatch = {
    bytes: new Uint8Array(0),
    count: 0,
    offsets: new Uint32Array(BATCH_FRAMES),
    lengths: new Uint32Array(BATCH_FRAMES),
  };
  #chunk: Uint8Array = this.#batch.bytes;
  #position = 0;
  /** What came of a frame, length included, when its chunk ended. Made when needed. */
  #carry: Uint8Array | undefined;
  #carryEnd = 0;

  constructor(maxFrameBytes: number = MAX_STREAM_FRAME_BYTES) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Whether the stream is within a frame: its end would cut that. */
  get isWithinFrame(): boolean {
    return this.#carryEnd > 0;
  }

  /** The next piece of the stream. The one before must be used up: `next` has answered undefined. */
  push(chunk: Uint8Array): void {
    // Not Node's Buffer, whose `slice` is a view where everybody else's is a copy.
    this.#chunk = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#position = 0;
  }

  /**
   * The next frames, or undefined when the chunk has no whole one any more. A batch is valid until the next call. Throws a
   * SlirpError `protocolViolation` for a length that cannot be; there is no way to go on then.
   */
  next(): FrameBatch | undefined {
    if (this.#carryEnd > 0) return this.#nextCarried();
    const batch = this.#batch;
    batch.bytes = this.#chunk;
    batch.count = 0;
    while (batch.count < BATCH_FRAMES) {
      const length = this.#lengthAt(this.#chunk, this.#position, this.#chunk.length);
      // What came before a bad length is good; the length is looked at again then.
      if (length === undefined || (batch.count > 0 && !this.#isPossible(length))) break;
      this.#assertPossible(length);
      const start = this.#position + LENGTH_BYTES;
      if (start + length > this.#chunk.length) break;
      batch.offsets[batch.count] = start;
      batch.lengths[batch.count] = length;
      batch.count++;
      this.#position = start + length;
    }
    if (batch.count > 0) return batch;
    this.#carryOver(this.#chunk.length);
    return undefined;
  }

  /** Goes on with the frame that the last chunk ended in. */
  #nextCarried(): FrameBatch | undefined {
    this.#carryOver(this.#position + LENGTH_BYTES - this.#carryEnd);
    const carry = this.#carry;
    if (!carry) return undefined;
    const length = this.#lengthAt(carry, 0, this.#carryEnd);
    if (length === undefined) return undefined;
    this.#assertPossible(length);
    this.#carryOver(this.#position + LENGTH_BYTES + length - this.#carryEnd);
    if (this.#carryEnd < LENGTH_BYTES + length) return undefined;
    this.#carryEnd = 0;
    const batch = this.#batch;
    batch.bytes = carry;
    batch.count = 1;
    batch.offsets[0] = LENGTH_BYTES;
    batch.lengths[0] = length;
    return batch;
  }

  /** Moves bytes from the chunk to the carry, up to `end` as far as the chunk goes. */
  #carryOver(end: number): void {
    const part = this.#chunk.subarray(this.#position, Math.max(this.#position, end));
    if (part.length === 0) return;
    this.#carry ??= new Uint8Array(LENGTH_BYTES + this.#maxFrameBytes);
    this.#carry.set(part, this.#carryEnd);
    this.#carryEnd += part.length;
    this.#position += part.length;
  }

  #lengthAt(bytes: Uint8Array, position: number, end: number): number | undefined {
    if (position + LENGTH_BYTES > end) return undefined;
    const high = ((bytes[position] ?? 0) << 8) | (bytes[position + 1] ?? 0);
    const low = ((bytes[position + 2] ?? 0) << 8) | (bytes[position + 3] ?? 0);
    return high * 65_536 + low;
  }

  #isPossible(length: number): boolean {
    return length > 0 && length <= this.#maxFrameBytes;
  }

  #assertPossible(length: number): void {
    if (this.#isPossible(length)) return;
    throw new SlirpError(
      ErrorCode.protocolViolation,
      `a frame length of ${String(length)} in QEMU's stream; 1 to ${String(this.#maxFrameBytes)} would be right`,
    );
  }
}

/** The frames of a batch, each with its length before it, in one new buffer: one write. */
export function encodeStreamFrames(batch: FrameBatch): Buffer {
  let total = LENGTH_BYTES * batch.count;
  for (let i = 0; i < batch.count; i++) total += batch.lengths[i] ?? 0;
  const stream = Buffer.allocUnsafe(total);
  let end = 0;
  for (let i = 0; i < batch.count; i++) {
    const offset = batch.offsets[i] ?? 0;
    const length = batch.lengths[i] ?? 0;
    end = stream.writeUInt32BE(length, end);
    stream.set(batch.bytes.subarray(offset, offset + length), end);
    end += length;
  }
  return stream;
}
