/**
 * Sends frames in parcels, with as many buffers as there are credits: each is on its way until the other end has dealt with all of its frames
 * and sends it back. Without one there is no room, which is how a slow end holds the other back.
 *
 * Buffers are made when they are first needed. Nothing is allocated for a frame; a parcel costs a few views.
 */
import type { FrameBatch } from "../backend.js";
import {
  ENTRY_BYTES,
  entryIndex,
  PARCEL_BYTES,
  PARCEL_HEADER_BYTES,
  ParcelKind,
  ParcelWord,
  wordsOf,
} from "./parcel.js";

/** Buffers of each direction: a megabyte under way, four times what one TCP connection of a guest may have. */
const MAX_PARCELS = 8;

/** Frames of a batch that are no farther from each other are copied in one piece, with what lies between them. */
const MAX_GAP_BYTES = 64;

/** The part of a MessagePort that parcels need. */
export interface ParcelPort {
  postMessage(message: ArrayBuffer, transfer: ArrayBuffer[]): void;
}

/** See the top of the file. */
export class ParcelSender {
  readonly #port: ParcelPort;
  /** Writes the words that only this end knows. */
  readonly #stamp: (words: Uint32Array) => void;
  readonly #free: ArrayBuffer[] = [];
  readonly #transfer: ArrayBuffer[] = [];
  #made = 0;
  #buffer: ArrayBuffer | undefined;
  #bytes = new Uint8Array();
  #words = new Uint32Array();
  #used = 0;
  #frames = 0;

  constructor(port: ParcelPort, stamp: (words: Uint32Array) => void) {
    this.#port = port;
    this.#stamp = stamp;
  }

  /** There is a buffer for at least one more frame of any length. */
  get hasRoom(): boolean {
    return this.#free.length > 0 || this.#made < MAX_PARCELS;
  }

  /** Copies a frame; false where there is no room. */
  put(frame: Uint8Array): boolean {
    if (!this.#reserve(frame.length, false)) return false;
    this.#bytes.set(frame, this.#used);
    this.#enter(this.#used, frame.length);
    return true;
  }

  /** Copies a frame that lies in pieces. */
  putGathered(pieces: readonly Uint8Array[], length: number): boolean {
    if (!this.#reserve(length, false)) return false;
    const start = this.#used;
    let at = start;
    for (const piece of pieces) {
      this.#bytes.set(piece, at);
      at += piece.length;
    }
    this.#enter(start, length);
    return true;
  }

  /**
   * Copies the frames of a batch from `first` on that lie side by side, at most up to `end` (excluded): how many, 0 where there is no room.
   * @param force makes a buffer beyond the credits instead.
   */
  putRun(batch: FrameBatch, first: number, end: number, force: boolean): number {
    const { offsets, lengths } = batch;
    const start = offsets[first] ?? 0;
    let last = first;
    let stop = start + (lengths[first] ?? 0);
    if (!this.#reserve(stop - start, force)) return 0;
    const room = PARCEL_BYTES - this.#used - this.#frames * ENTRY_BYTES;
    for (let next = first + 1; next < end; next++) {
      const offset = offsets[next] ?? 0;
      const nextStop = offset + (lengths[next] ?? 0);
      const bytes = nextStop - start + (next - first + 1) * ENTRY_BYTES;
      if (offset < stop || offset - stop > MAX_GAP_BYTES || bytes > room) break;
      last = next;
      stop = nextStop;
    }
    const shift = this.#used - start;
    this.#bytes.set(batch.bytes.subarray(start, stop), this.#used);
    for (let i = first; i <= last; i++) this.#enter((offsets[i] ?? 0) + shift, lengths[i] ?? 0);
    return last - first + 1;
  }

  /** Sends what was put. */
  flush(): void {
    const buffer = this.#buffer;
    if (!buffer) return;
    this.#words[ParcelWord.kind] = ParcelKind.frames;
    this.#words[ParcelWord.frames] = this.#frames;
    this.#stamp(this.#words);
    this.#buffer = undefined;
    this.#post(buffer);
  }

  /** The other end has sent an empty buffer back. */
  takeBack(buffer: ArrayBuffer): void {
    if (this.#made > MAX_PARCELS) this.#made--;
    else this.#free.push(buffer);
  }

  /** Gives a parcel back to the other end, which filled it. */
  giveBack(buffer: ArrayBuffer): void {
    const words = wordsOf(buffer);
    words[ParcelWord.kind] = ParcelKind.returned;
    this.#stamp(words);
    this.#post(buffer);
  }

  #post(buffer: ArrayBuffer): void {
    this.#transfer[0] = buffer;
    this.#port.postMessage(buffer, this.#transfer);
    this.#transfer.length = 0;
  }

  /** Sees to it that there is a buffer with room for a frame. */
  #reserve(length: number, force: boolean): boolean {
    const table = (this.#frames + 1) * ENTRY_BYTES;
    if (this.#buffer && this.#used + length + table <= PARCEL_BYTES) return true;
    if (!force && !this.hasRoom) return false;
    this.flush();
    let buffer = this.#free.pop();
    if (!buffer) {
      buffer = new ArrayBuffer(PARCEL_BYTES);
      this.#made++;
    }
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#used = PARCEL_HEADER_BYTES;
    this.#frames = 0;
    return true;
  }

  /** Notes a frame that lies at `offset`, behind all others. */
  #enter(offset: number, length: number): void {
    const entry = entryIndex(this.#frames++);
    this.#words[entry] = offset;
    this.#words[entry + 1] = length;
    this.#used = offset + length;
  }
}
