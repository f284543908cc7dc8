/**
 * A capture in memory: the latest frames, as many as fit, and a file of them at any time.
 *
 * Blocks lie one behind the other in a ring, which grows up to its bound; then the oldest give way. A block says its own length, so
 * nothing beside the bytes is kept.
 */
import { isSectionHeader, type CaptureSink } from "./pcapng-writer.js";

/** How much is kept. */
export interface CaptureMemoryOptions {
  /** Bytes of frames with what stands around them. Default 16 MiB. */
  readonly maxBytes?: number;
}

/** What it begins with; doubled when full, up to the bound. */
const FIRST_BYTES = 64 * 1024;

/** A sink that keeps the latest frames in memory, for a file to download. */
export class CaptureMemory implements CaptureSink {
  readonly #maxBytes: number;
  #headers: Uint8Array<ArrayBuffer>[] = [];
  #ring: Uint8Array<ArrayBuffer>;
  /** Where the oldest block begins, and where the next one goes. */
  #head = 0;
  #tail = 0;
  /** Where the blocks before the wrap end, or undefined where they do not wrap. */
  #wrapAt: number | undefined;
  #frames = 0;
  #dropped = 0;

  constructor({ maxBytes = 16 * 1024 * 1024 }: CaptureMemoryOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#ring = new Uint8Array(Math.min(FIRST_BYTES, maxBytes));
  }

  /** Frames that are kept. */
  get frames(): number {
    return this.#frames;
  }

  /** Frames that gave way to later ones, or were larger than all. */
  get droppedFrames(): number {
    return this.#dropped;
  }

  /** Bytes that the kept frames take; a file has some more. */
  get bytes(): number {
    if (this.#wrapAt === undefined) return this.#tail - this.#head;
    return this.#wrapAt - this.#head + this.#tail;
  }

  writeHeader(block: Uint8Array<ArrayBuffer>): void {
    if (isSectionHeader(block)) {
      // Another writer begins: its interfaces are numbered anew.
      this.#headers = [];
      this.clear();
    }
    this.#headers.push(block.slice());
  }

  writeFrame(block: Uint8Array<ArrayBuffer>): void {
    if (block.length > this.#maxBytes) {
      this.#dropped++;
      return;
    }
    while (!this.#findRoom(block.length)) {
      if (this.#ring.length < this.#maxBytes) this.#grow(block.length);
      else this.#dropOldest();
    }
    this.#ring.set(block, this.#tail);
    this.#tail += block.length;
    this.#frames++;
  }

  /** The file so far: a copy. */
  download(): Uint8Array<ArrayBuffer> {
    const parts = [...this.#headers, ...this.#parts()];
    const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      file.set(part, at);
      at += part.length;
    }
    return file;
  }

  /** The same for a link in a page: `URL.createObjectURL(memory.toBlob())`. */
  toBlob(): Blob {
    return new Blob([this.download()], { type: "application/x-pcapng" });
  }

  /** Forgets the frames; the headers stay. */
  clear(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#wrapAt = undefined;
    this.#frames = 0;
    this.#dropped = 0;
  }

  /** What is kept, oldest first. */
  #parts(): Uint8Array<ArrayBuffer>[] {
    if (this.#wrapAt === undefined) return [this.#ring.subarray(this.#head, this.#tail)];
    return [this.#ring.subarray(this.#head, this.#wrapAt), this.#ring.subarray(0, this.#tail)];
  }

  /** Sets `#tail` to where a block fits; false where there is no such place. */
  #findRoom(length: number): boolean {
    if (this.#wrapAt !== undefined) return this.#tail + length <= this.#head;
    if (this.#tail + length <= this.#ring.length) return true;
    if (length > this.#head) return false;
    this.#wrapAt = this.#tail;
    this.#tail = 0;
    return true;
  }

  #dropOldest(): void {
    const at = this.#head + 4;
    const view = new DataView(this.#ring.buffer);
    this.#head += view.getUint32(at, true);
    this.#frames--;
    this.#dropped++;
    if (this.#head === this.#wrapAt) {
      this.#head = 0;
      this.#wrapAt = undefined;
    }
    if (this.#frames > 0) return;
    this.#head = 0;
    this.#tail = 0;
    this.#wrapAt = undefined;
  }

  #grow(atLeast: number): void {
    const kept = this.#parts();
    const size = Math.min(this.#maxBytes, Math.max(this.#ring.length * 2, this.bytes + atLeast));
    const ring = new Uint8Array(size);
    let at = 0;
    for (const part of kept) {
      ring.set(part, at);
      at += part.length;
    }
    this.#ring = ring;
    this.#head = 0;
    this.#tail = at;
    this.#wrapAt = undefined;
  }
}
