/** Memory that a port reads frames into, and what waits in it. */
import type { FrameBatch } from "../backend.js";

/** Frames a batch: what 64 non-blocking reads give before JavaScript is called once. */
const BATCH_FRAMES = 64;
/** Bytes of a batch: 64 frames of an Ethernet network several times over, or seven super-frames of 64 KiB. */
const BATCH_BYTES = 512 * 1024;
/** The longest frame and header that a port reads, and one byte by which it sees that a frame was cut off. */
const ROOM_FOR_ONE = 65_535 + 18 + 20 + 1;

/** A batch that is filled again and again. */
export class ReceiveArea implements FrameBatch {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  count = 0;

  private constructor(frames: number, bytes: number) {
    this.bytes = new Uint8Array(bytes);
    this.offsets = new Uint32Array(frames);
    this.lengths = new Uint32Array(frames);
  }

  static forBatches(): ReceiveArea {
    return new ReceiveArea(BATCH_FRAMES, BATCH_BYTES);
  }

  /** For a single frame that is looked at before it is taken. */
  static forOne(): ReceiveArea {
    return new ReceiveArea(1, ROOM_FOR_ONE);
  }

  /** For messages of the kernel, which are rare. */
  static forMessages(): ReceiveArea {
    return new ReceiveArea(8, 2 * ROOM_FOR_ONE);
  }

  /** The frame at that place of the batch. */
  frame(index: number): Uint8Array {
    const start = this.offsets[index] ?? 0;
    return this.bytes.subarray(start, start + (this.lengths[index] ?? 0));
  }
}
