/** The one frame that a TAP backend holds: read by `peek`, so that its length is known before there is a target for it. */
import type { FrameBatch, HeaderLength } from "../backend.js";
import { stripHeader, writeZeroedHeader } from "../virtio-net.js";
import { PLAIN_HEADER_BYTES } from "./tap-device.js";
import { isWithin } from "./tap-offloads.js";
import { ReceiveArea } from "./tap-receive.js";

/** See the top of the file. */
export class PeekedFrame {
  #area: ReceiveArea | undefined;
  #waits = false;
  #headerLength: HeaderLength = 0;

  /** Length with header; 0 where there is none. */
  get length(): number {
    return this.#waits ? (this.#area?.lengths[0] ?? 0) : 0;
  }

  /** Has a frame read into the memory that is kept for it, unless there is one. */
  fill(read: (area: ReceiveArea) => number): void {
    if (this.#waits) return;
    this.#area ??= ReceiveArea.forOne();
    this.#waits = read(this.#area) > 0;
  }

  /** Copies the frame into a target that has room, and forgets it. */
  moveTo(target: Uint8Array): void {
    if (this.#area) target.set(this.#area.frame(0));
    this.#waits = false;
  }

  /** Gives the frame out as a batch, with its memory: what is peeked at next lies elsewhere. */
  takeBatch(): FrameBatch | undefined {
    const area = this.#area;
    if (!this.#waits || !area) return undefined;
    this.#area = undefined;
    this.#waits = false;
    const { bytes, offsets, lengths } = area;
    return { bytes, offsets, lengths, count: 1 };
  }

  /** Forgets the frame; whether there was one. */
  drop(): boolean {
    const waited = this.#waits;
    this.#waits = false;
    return waited;
  }

  /**
   * From now on frames have a header of this length, and so has the one that waits. False where it had to be dropped, because it leaves more
   * to be done than these offloads.
   */
  reshape(to: HeaderLength, offloads: number): boolean {
    const from = this.#headerLength;
    this.#headerLength = to;
    const area = this.#area;
    if (!this.#waits || !area) return true;
    const old = area.frame(0).slice();
    const header = old.subarray(0, Math.min(from, PLAIN_HEADER_BYTES));
    const [flags = 0, gsoType = 0] = header;
    if (!isWithin(offloads, flags, gsoType)) return !this.drop();
    if (from === to) return true;
    const frame = stripHeader(old, from);
    const start = writeZeroedHeader(area.bytes, 0, to);
    if (to > 0) area.bytes.set(header);
    area.bytes.set(frame, start);
    area.offsets[0] = 0;
    area.lengths[0] = start + frame.length;
    return true;
  }
}
