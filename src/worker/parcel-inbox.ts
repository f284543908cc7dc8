/**
 * Parcels that have come and that a NIC has not taken yet: pulled frame by frame, or handed out as batches. A parcel goes back when all of
 * it is taken.
 */
import type { FrameBatch } from "../backend.js";
import { ParcelReader, ParcelWord, wordsOf } from "./parcel.js";

/** Who has the inbox. */
export interface InboxOwner {
  /** Number of the agreement that frames must have been made under. */
  agreement(): number;
  giveBack(buffer: ArrayBuffer): void;
  /** Frames that were made before the NIC agreed on another header, or on less. */
  onDropped(frames: number): void;
}

/** See the top of the file. */
export class ParcelInbox {
  readonly #owner: InboxOwner;
  readonly #waiting: ArrayBuffer[] = [];
  /** The parcel that `#reader` is in. */
  #current: ArrayBuffer | undefined;
  #reader = new ParcelReader();
  /** The batch that is out, and its reader: whoever has it may pull from the next parcel meanwhile. */
  #handedOut: ArrayBuffer | undefined;
  #otherReader = new ParcelReader();

  constructor(owner: InboxOwner) {
    this.#owner = owner;
  }

  /** A parcel has come. */
  push(buffer: ArrayBuffer): void {
    this.#waiting.push(buffer);
  }

  /** Forgets everything. */
  clear(): void {
    this.#waiting.length = 0;
    this.#current = undefined;
  }

  /** Length of the next frame, 0 for none. */
  peek(): number {
    for (;;) {
      const buffer = this.#current ?? this.#waiting.shift();
      if (!buffer) return 0;
      if (buffer !== this.#current) this.#reader.open(buffer);
      this.#current = buffer;
      if (wordsOf(buffer)[ParcelWord.agreement] === this.#owner.agreement()) {
        return this.#reader.peek();
      }
      this.#current = undefined;
      this.#owner.onDropped(this.#reader.takeRest().count);
      this.#owner.giveBack(buffer);
    }
  }

  /** Takes the next frame; the caller has asked `peek`. */
  take(target: Uint8Array): void {
    const buffer = this.#current;
    this.#reader.take(target);
    if (!buffer || this.#reader.peek() > 0) return;
    this.#current = undefined;
    this.#owner.giveBack(buffer);
  }

  /** What is left of the next parcel, good until `finishBatch`; undefined for nothing. */
  takeBatch(): FrameBatch | undefined {
    if (this.peek() === 0) return undefined;
    const reader = this.#reader;
    this.#reader = this.#otherReader;
    this.#otherReader = reader;
    this.#handedOut = this.#current;
    this.#current = undefined;
    return reader.takeRest();
  }

  /** The batch that was handed out is done with. */
  finishBatch(): void {
    if (this.#handedOut) this.#owner.giveBack(this.#handedOut);
    this.#handedOut = undefined;
  }
}
