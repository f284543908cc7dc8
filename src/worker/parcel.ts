/**
 * A parcel: the frames of one turn in one ArrayBuffer, which travels between threads by transfer, so that nobody copies it.
 *
 * Eight 32-bit words stand first, then each frame behind its length, padded to four bytes. All in the machine's byte order: both ends
 * are on the same one. The same buffer goes back empty to whoever filled it; that is its credit to fill it again.
 */
import type { FrameBatch } from "../backend.js";

/** Room for two frames of any length, or some 80 full ones at MTU 1500. */
export const PARCEL_BYTES = 128 * 1024;

/** What a parcel is. */
export const ParcelKind = { frames: 1, returned: 2 } as const;

/** Indexes of the words that stand first. */
export const ParcelWord = {
  kind: 0,
  /** Bytes in use, these words included. */
  used: 1,
  frames: 2,
  /** Length of the virtio-net header before each frame. */
  headerLength: 3,
  // Only from the worker: the state of the stack at that moment.
  droppedFromGuest: 4,
  droppedToGuest: 5,
  memoryPages: 6,
} as const;

export const PARCEL_HEADER_BYTES = 32;
const LENGTH_BYTES = 4;

/** Bytes that a frame takes. */
export function recordBytes(length: number): number {
  return LENGTH_BYTES + ((length + 3) & ~3);
}

/** A parcel's words. */
export function wordsOf(buffer: ArrayBuffer): Uint32Array<ArrayBuffer> {
  return new Uint32Array(buffer, 0, PARCEL_HEADER_BYTES / 4);
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
    this.bytes = new Uint8Array(buffer);
    this.#next = 0;
    this.count = frames;
    let at = PARCEL_HEADER_BYTES;
    for (let i = 0; i < frames; i++) {
      const length = words[at >>> 2] ?? 0;
      this.offsets[i] = at + LENGTH_BYTES;
      this.lengths[i] = length;
      at += recordBytes(length);
    }
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
