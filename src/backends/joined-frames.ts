/**
 * Frames towards a guest whose NIC takes more than the backend gives: with the NIC's header, and those of a batch that follow each other in
 * one flow joined. A frame whose header says something already goes on as it is.
 */
import type { FrameBatch, HeaderLength, NetBackend } from "../backend.js";
import { FrameJoiner } from "../frames/frame-joiner.js";
import type { Offloads } from "../frames/frame-translator.js";
import { emptyHeader, writeHeader, writeZeroedHeader } from "../virtio-net.js";

/** See the top of the file. */
export class JoinedFrames implements FrameBatch {
  bytes = new Uint8Array(64 * 1024);
  offsets = new Uint32Array(64);
  lengths = new Uint32Array(64);
  count = 0;

  readonly #joiner: FrameJoiner;
  readonly #header = emptyHeader();
  readonly #headerLength: HeaderLength;
  readonly #backendLength: HeaderLength;
  #end = 0;

  /** @param backendLength length of the backend's header: 0, or the NIC's */
  constructor(offloads: Offloads, headerLength: HeaderLength, backendLength: HeaderLength) {
    this.#joiner = new FrameJoiner(offloads);
    this.#headerLength = headerLength;
    this.#backendLength = backendLength;
  }

  /** What a batch becomes: this object, which is good until the next one. */
  join({ bytes, offsets, lengths, count }: FrameBatch): this {
    this.#reserve(lengths, count);
    for (let i = 0; i < count; i++) this.#add(bytes, offsets[i] ?? 0, lengths[i] ?? 0);
    this.#finish();
    return this;
  }

  /** As `NetBackend.receive`. A frame that is taken alone is joined to none. */
  receive(backend: NetBackend, target: Uint8Array): number {
    const before = this.#headerLength - this.#backendLength;
    if (before === 0) return backend.receive(target);
    const length = backend.peek();
    if (length === 0) return 0;
    const framed = length + before;
    if (framed > target.length) {
      const text = `the next frame is ${String(framed)} bytes long, the target only ${String(target.length)}`;
      throw new RangeError(text);
    }
    writeZeroedHeader(target, 0, this.#headerLength);
    return backend.receive(target.subarray(before)) + before;
  }

  #reserve(lengths: Uint32Array, count: number): void {
    let most = 0;
    for (let i = 0; i < count; i++) most += this.#headerLength + (lengths[i] ?? 0);
    if (most > this.bytes.length) this.bytes = new Uint8Array(most * 2);
    if (count > this.offsets.length) {
      this.offsets = new Uint32Array(count * 2);
      this.lengths = new Uint32Array(count * 2);
    }
    this.count = this.#end = 0;
  }

  #add(bytes: Uint8Array, offset: number, length: number): void {
    const start = offset + this.#backendLength;
    const frameBytes = length - this.#backendLength;
    // Flags and GSO type.
    const isPlain = this.#backendLength === 0 || (bytes[offset]! | bytes[offset + 1]!) === 0;
    if (isPlain && this.#joiner.append(bytes, start, frameBytes)) return;
    this.#finish();
    const at = this.#end + this.#headerLength;
    if (isPlain && this.#joiner.start(this.bytes, at, bytes, start, frameBytes)) return;
    if (this.#backendLength === 0) writeZeroedHeader(this.bytes, this.#end, this.#headerLength);
    else this.bytes.set(bytes.subarray(offset, start), this.#end);
    this.bytes.set(bytes.subarray(start, start + frameBytes), at);
    this.#close(frameBytes);
  }

  #finish(): void {
    if (this.#joiner.count === 0) return;
    const length = this.#joiner.finish(this.#header);
    writeHeader(this.bytes, this.#end, this.#headerLength, this.#header);
    this.#close(length);
  }

  #close(frameBytes: number): void {
    const length = this.#headerLength + frameBytes;
    this.offsets[this.count] = this.#end;
    this.lengths[this.count++] = length;
    this.#end += length;
  }
}
