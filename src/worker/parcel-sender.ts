/**
 * Sends frames in parcels, with as many buffers as there are credits: each is on its way until the other end has dealt with all of its frames
 * and sends it back. Without one there is no room, which is how a slow end holds the other back.
 *
 * Buffers are made when they are first needed. Nothing is allocated for a frame, and for a parcel only views.
 */
import {
  PARCEL_BYTES,
  PARCEL_HEADER_BYTES,
  ParcelKind,
  ParcelWord,
  recordBytes,
} from "./parcel.js";

/** Buffers of each direction: a megabyte under way, four times what one TCP connection of a guest may have. */
const MAX_PARCELS = 8;

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

  /** Frames wait for `flush`. */
  get hasFrames(): boolean {
    return this.#frames > 0;
  }

  /** There is a buffer for at least one more frame of any length. */
  get hasRoom(): boolean {
    return this.#free.length > 0 || this.#made < MAX_PARCELS;
  }

  /** Copies a frame that lies in `bytes`; false where there is no room. `force`: a buffer beyond the credits is made then. */
  put(bytes: Uint8Array, offset: number, length: number, force = false): boolean {
    if (!this.#reserve(length, force)) return false;
    const whole = offset === 0 && length === bytes.length;
    const frame = whole ? bytes : bytes.subarray(offset, offset + length);
    this.#bytes.set(frame, this.#begin(length));
    return true;
  }

  /** Copies a frame that lies in pieces. */
  putGathered(pieces: readonly Uint8Array[], length: number): boolean {
    if (!this.#reserve(length, false)) return false;
    let at = this.#begin(length);
    for (const piece of pieces) {
      this.#bytes.set(piece, at);
      at += piece.length;
    }
    return true;
  }

  /** Sends what was put. */
  flush(): void {
    const buffer = this.#buffer;
    if (!buffer || this.#frames === 0) return;
    this.#words[ParcelWord.kind] = ParcelKind.frames;
    this.#words[ParcelWord.used] = this.#used;
    this.#words[ParcelWord.frames] = this.#frames;
    this.#stamp(this.#words);
    this.#buffer = undefined;
    this.#frames = 0;
    this.#post(buffer);
  }

  /** The other end has sent an empty buffer back. */
  takeBack(buffer: ArrayBuffer): void {
    if (this.#made > MAX_PARCELS) this.#made--;
    else this.#free.push(buffer);
  }

  /** Gives a parcel back to the other end, which filled it. */
  giveBack(buffer: ArrayBuffer): void {
    const words = new Uint32Array(buffer, 0, PARCEL_HEADER_BYTES / 4);
    words[ParcelWord.kind] = ParcelKind.returned;
    this.#stamp(words);
    this.#post(buffer);
  }

  #post(buffer: ArrayBuffer): void {
    this.#transfer[0] = buffer;
    this.#port.postMessage(buffer, this.#transfer);
    this.#transfer.length = 0;
  }

  #reserve(length: number, force: boolean): boolean {
    if (this.#buffer && this.#used + recordBytes(length) <= PARCEL_BYTES) return true;
    if (!force && !this.hasRoom) return false;
    this.flush();
    let buffer = this.#buffer ?? this.#free.pop();
    if (!buffer) {
      buffer = new ArrayBuffer(PARCEL_BYTES);
      this.#made++;
    }
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#used = PARCEL_HEADER_BYTES;
    return true;
  }

  /** Writes the length; answers where the frame goes. */
  #begin(length: number): number {
    const at = this.#used;
    this.#words[at >>> 2] = length;
    this.#used += recordBytes(length);
    this.#frames++;
    return at + 4;
  }
}
