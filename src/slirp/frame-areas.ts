/**
 * Frames between JavaScript and the module: copying into the area that the next turn works off, and handing over what a turn left
 * (wasm/frames.c). Nothing here allocates for a frame.
 */
import type { FrameBatch } from "../backend.js";
import { SharedField, type ModuleInstance } from "./module-instance.js";

/** Length word before each frame in the area. */
const LENGTH_BYTES = 4;

/** The batch that a NIC is handed: one object, filled in anew each time. */
class OutputBatch implements FrameBatch {
  bytes = new Uint8Array();
  count = 0;
  offsets = new Uint32Array();
  lengths = new Uint32Array();
}

/** See the top of the file. */
export class FrameAreas {
  private readonly batch = new OutputBatch();
  /** Where frames lie from the first one on, which is where a delivery nearly always begins: views that are made once. */
  private allOffsets = new Uint32Array();
  private allLengths = new Uint32Array();

  constructor(private readonly instance: ModuleInstance) {}

  /** Bytes and frames that wait for the next turn. */
  get hasInput(): boolean {
    return this.instance.get(SharedField.inputUsed) > 0;
  }

  /** The longest frame that fits at all. */
  get maxFrameBytes(): number {
    return this.instance.get(SharedField.inputBytes) - LENGTH_BYTES;
  }

  /** Copies a frame that lies in `bytes`; false where there is no room in this turn. */
  put(bytes: Uint8Array, offset: number, length: number): boolean {
    const { instance } = this;
    const used = instance.get(SharedField.inputUsed);
    const padded = LENGTH_BYTES + ((length + 3) & ~3);
    if (used + padded > instance.get(SharedField.inputBytes)) return false;
    const at = instance.get(SharedField.input) + used;
    instance.HEAPU32[at >>> 2] = length;
    const whole = offset === 0 && length === bytes.length;
    instance.HEAPU8.set(whole ? bytes : bytes.subarray(offset, offset + length), at + LENGTH_BYTES);
    instance.set(SharedField.inputUsed, used + padded);
    return true;
  }

  /** Copies a frame that lies in pieces. */
  putGathered(pieces: readonly Uint8Array[], length: number): boolean {
    const { instance } = this;
    const used = instance.get(SharedField.inputUsed);
    const padded = LENGTH_BYTES + ((length + 3) & ~3);
    if (used + padded > instance.get(SharedField.inputBytes)) return false;
    let at = instance.get(SharedField.input) + used;
    instance.HEAPU32[at >>> 2] = length;
    at += LENGTH_BYTES;
    for (const piece of pieces) {
      instance.HEAPU8.set(piece, at);
      at += piece.length;
    }
    instance.set(SharedField.inputUsed, used + padded);
    return true;
  }

  /** All frames towards the guest that wait, as a batch that is good until the next call into the module; undefined for none. */
  takeOutput(): FrameBatch | undefined {
    const { instance, batch } = this;
    const first = instance.get(SharedField.outputFirst);
    const count = instance.get(SharedField.outputCount) - first;
    if (count === 0) return undefined;
    batch.bytes = instance.HEAPU8;
    batch.count = count;
    if (first === 0) {
      this.refreshAll();
      batch.offsets = this.allOffsets;
      batch.lengths = this.allLengths;
    } else {
      batch.offsets = this.words(SharedField.outputOffsets, first, count);
      batch.lengths = this.words(SharedField.outputLengths, first, count);
    }
    instance.set(SharedField.outputFirst, first + count);
    return batch;
  }

  /** Length of the oldest frame that waits, or 0. */
  peek(): number {
    const first = this.instance.get(SharedField.outputFirst);
    if (first === this.instance.get(SharedField.outputCount)) return 0;
    return this.words(SharedField.outputLengths, first, 1)[0] ?? 0;
  }

  /** Copies the oldest frame that waits; the caller has checked the length by `peek`. */
  take(target: Uint8Array): void {
    const first = this.instance.get(SharedField.outputFirst);
    const offset = this.words(SharedField.outputOffsets, first, 1)[0] ?? 0;
    target.set(this.instance.bytesAt(offset, this.peek()));
    this.instance.set(SharedField.outputFirst, first + 1);
  }

  private refreshAll(): void {
    const { HEAPU32 } = this.instance;
    if (this.allOffsets.buffer === HEAPU32.buffer) return;
    this.allOffsets = HEAPU32.subarray(this.instance.get(SharedField.outputOffsets) >>> 2);
    this.allLengths = HEAPU32.subarray(this.instance.get(SharedField.outputLengths) >>> 2);
  }

  private words(field: number, first: number, count: number): Uint32Array<ArrayBuffer> {
    const start = (this.instance.get(field) >>> 2) + first;
    return this.instance.HEAPU32.subarray(start, start + count);
  }
}
