/**
 * A parcel: the frames of one turn in one ArrayBuffer, which travels between threads by transfer, so that nobody copies it.
 *
 * Eight 32-bit words stand first, then the frames, side by side with gaps, and at the buffer's end, growing towards them, the table: offset and
 * length of each frame. All in the machine's byte order: both ends are on the same one. With the table apart from the frames, those that
 * lie side by side already are copied in one piece. The same buffer goes back empty to whoever filled it; that is its credit
 * to fill it again.
 */
import type { FrameBatch } from "../backend.js";

/** Room for one frame of any length, or some 80 full ones at MTU 1500. */
export const PARCEL_BYTES = 128 * 1024;

/** What a parcel is. */
export const ParcelKind = { frames: 1, returned: 2 } as const;

/** Indexes of the words that stand first. */
export const ParcelWord = {
  kind: 0,
  frames: 1,
  /** What its frames were made under: see `agreement.ts`. */
  agreement: 2,
  // Only from the worker: the state of the stack at that moment.
  droppedFromGuest: 3,
  droppedToGuest: 4,
  memoryPages: 5,
} as const;

const HEADER_WORDS = 8;
export const PARCEL_HEADER_BYTES = 4 * HEADER_WORDS;
/** Bytes of a frame's entry in the table. */
export const ENTRY_BYTES = 8;

/** A parcel's words. */
export function wordsOf(buffer: ArrayBuffer): Uint32Array<ArrayBuffer> {
  return new Uint32Array(buffer, 0, HEADER_WORDS);
}

/** Index of a frame's entry among a parcel's 32-bit words: its offset; the length follows. */
export function entryIndex(frame: number): number {
  return (PARCEL_BYTES - (frame + 1) * ENTRY_BYTES) >>> 2;
}

/** Reads the frames of a parcel: one by one, or those that are left as a batch. The tables of the batch are used again. */
export class ParcelReader implements FrameBatch {
  bytes = new Uint8Array();
  count = 0;
  offsets = new Uint32Array(64);
  lengths = new Uint32Array(64);
  #next = 0;

  /** Begins with another parcel. */
  open(buffer: ArrayBuffer): void {
    const words = new Uint32Array(buffer);
    const frames = words[ParcelWord.frames] ?? 0;
    if (this.offsets.length < frames) {
      this.offsets = new Uint32Array(2 * frames);
      this.lengths = new Uint32Array(2 * frames);
    }
    for (let i = 0; i < frames; i++) {
      const entry = entryIndex(i);
      this.offsets[i] = words[entry] ?? 0;
      this.lengths[i] = words[entry + 1] ?? 0;
    }
    this.bytes = new Uint8Array(buffer);
    this.count = frames;
    this.#next = 0;
  }

  /** Length of the next frame, 0 for none. */
  peek(): number {
    return this.#next < this.count ? (this.lengths[this.#next] ?? 0) : 0;
  }

  /** The next frame; the caller has asked `peek`. */
  take(target: Uint8Array): void {
    const offset = this.offsets[this.#next] ?? 0;
    target.set(this.bytes.subarray(offset, offset + this.peek()));
    this.#next++;
  }

  /** Passes over frames from the front. */
  skip(frames: number): void {
    this.#next += frames;
  }

  /** All that are left as a batch. With it they are taken. */
  takeRest(): FrameBatch {
    const next = this.#next;
    const left = this.count - next;
    if (next > 0) {
      this.offsets.copyWithin(0, next, this.count);
      this.lengths.copyWithin(0, next, this.count);
      this.#next = 0;
    }
    this.count = left;
    return this;
  }
}
