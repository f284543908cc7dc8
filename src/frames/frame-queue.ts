/**
 * A bounded queue of frames that gives them out as one batch, or one by one.
 *
 * Two memories take turns: frames are written into one while the batch of the other is being looked at, so that who is
 * handed a batch may cause new frames without disturbing it. Nothing is allocated a frame. Frames are kept without a
 * header but with room for the longest one before them, so that the header length may change while frames wait.
 */
import type { FrameBatch, HeaderLength } from "../backend.js";
import { writeZeroedHeader } from "../virtio-net.js";

/** Room before every frame: the longest header. */
const HEADROOM = 12;

/** How much a queue holds; whichever bound is met first. */
export interface FrameQueueLimits {
  /** Bytes, 12 more counted for each frame. Default 256 KiB: more than a TCP window, less than anyone notices. */
  readonly maxBytes?: number;
  /** Frames. Default 1024, the size of a virtio queue. */
  readonly maxFrames?: number;
}

/** One of the two memories; `offsets` point at the frames themselves until the batch is given out. */
interface Half {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  /** Frames written, those already taken one by one among them. */
  count: number;
  /** Where the next frame's headroom begins. */
  end: number;
}

/** See the top of the file. */
export class FrameQueue {
  #writing: Half;
  #resting: Half;
  /** First frame of `#writing` that was not taken yet. */
  #head = 0;

  constructor(limits: FrameQueueLimits = {}) {
    const { maxBytes = 256 * 1024, maxFrames = 1024 } = limits;
    this.#writing = newHalf(maxBytes, maxFrames);
    this.#resting = newHalf(maxBytes, maxFrames);
  }

  /** How many frames wait. */
  get count(): number {
    return this.#writing.count - this.#head;
  }

  /** Length of the longest frame that an empty queue takes. */
  get maxFrameBytes(): number {
    return this.#writing.bytes.length - HEADROOM;
  }

  /** Copies a frame (without header) to the end. False where there is no room: nothing was taken then. */
  push(bytes: Uint8Array, offset: number, length: number): boolean {
    const half = this.#writing;
    if (!this.#fits(length)) {
      if (this.#head === 0) return false;
      this.#moveToFront();
      if (!this.#fits(length)) return false;
    }
    const start = half.end + HEADROOM;
    half.bytes.fill(0, half.end, start);
    half.bytes.set(bytes.subarray(offset, offset + length), start);
    half.offsets[half.count] = start;
    half.lengths[half.count] = length;
    half.count++;
    half.end = start + length;
    return true;
  }

  /** Length of the next frame with a header of this length before it, or 0 for none. */
  peek(headerLength: HeaderLength): number {
    return this.count === 0 ? 0 : headerLength + (this.#writing.lengths[this.#head] ?? 0);
  }

  /**
   * Copies the next frame, a zeroed header before it, into `target` and drops it: its length, or 0 for none. Throws a
   * RangeError, and leaves the frame, where the target is too short.
   */
  shift(target: Uint8Array, headerLength: HeaderLength): number {
    const framedLength = this.peek(headerLength);
    if (framedLength === 0) return 0;
    if (target.length < framedLength) {
      throw new RangeError(
        `the next frame is ${String(framedLength)} bytes long, the target only ${String(target.length)}`,
      );
    }
    const start = this.#writing.offsets[this.#head] ?? 0;
    writeZeroedHeader(target, 0, headerLength);
    target.set(
      this.#writing.bytes.subarray(start, start + framedLength - headerLength),
      headerLength,
    );
    this.#head++;
    if (this.count === 0) this.clear();
    return framedLength;
  }

  /**
   * Hands out all that waits, each frame with a zeroed header before it, and begins anew. The batch is valid until the next
   * call of `take`; undefined where nothing waits.
   */
  take(headerLength: HeaderLength): FrameBatch | undefined {
    const count = this.count;
    if (count === 0) return undefined;
    const half = this.#writing;
    if (this.#head > 0) {
      half.offsets.copyWithin(0, this.#head, half.count);
      half.lengths.copyWithin(0, this.#head, half.count);
      half.count = count;
    }
    if (headerLength > 0) addHeaders(half, headerLength);
    this.#writing = this.#resting;
    this.#resting = half;
    this.clear();
    return half;
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#writing.count = 0;
    this.#writing.end = 0;
    this.#head = 0;
  }

  #fits(length: number): boolean {
    const half = this.#writing;
    return half.count < half.offsets.length && half.end + HEADROOM + length <= half.bytes.length;
  }

  /** Reuses the room of frames that were taken one by one. */
  #moveToFront(): void {
    const half = this.#writing;
    const start = (half.offsets[this.#head] ?? HEADROOM) - HEADROOM;
    half.bytes.copyWithin(0, start, half.end);
    half.offsets.copyWithin(0, this.#head, half.count);
    half.lengths.copyWithin(0, this.#head, half.count);
    half.count -= this.#head;
    half.end -= start;
    for (let i = 0; i < half.count; i++) half.offsets[i] = (half.offsets[i] ?? 0) - start;
    this.#head = 0;
  }
}

function newHalf(maxBytes: number, maxFrames: number): Half {
  return {
    bytes: new Uint8Array(maxBytes),
    offsets: new Uint32Array(maxFrames),
    lengths: new Uint32Array(maxFrames),
    count: 0,
    end: 0,
  };
}

/** Turns frames into frames with headers: the headroom before each becomes the header. */
function addHeaders(half: Half, headerLength: HeaderLength): void {
  for (let i = 0; i < half.count; i++) {
    const start = (half.offsets[i] ?? 0) - headerLength;
    writeZeroedHeader(half.bytes, start, headerLength);
    half.offsets[i] = start;
    half.lengths[i] = (half.lengths[i] ?? 0) + headerLength;
  }
}
