/** What went through a backend: frames, bytes without header, and what was dropped on the way. */
import type { BackendStatistics, FrameBatch, HeaderLength } from "../backend.js";

/** See the top of the file. */
export class FrameCounters {
  readonly #counters = {
    framesFromGuest: 0,
    framesToGuest: 0,
    bytesFromGuest: 0,
    bytesToGuest: 0,
    droppedFromGuest: 0,
    droppedToGuest: 0,
  };

  /** Frames from the guest that were taken; bytes without header. */
  countSent(frames: number, bytes: number): void {
    this.#counters.framesFromGuest += frames;
    this.#counters.bytesFromGuest += bytes;
  }

  /** Frames from the guest that were not taken, or dropped after all. */
  countSendDrops(frames: number): void {
    this.#counters.droppedFromGuest += frames;
  }

  /** A frame that the NIC was given; bytes without header. */
  countReceived(bytes: number): void {
    this.#counters.framesToGuest++;
    this.#counters.bytesToGuest += bytes;
  }

  /** A batch that the NIC is given, a header before each frame. */
  countBatch({ count, lengths }: FrameBatch, header: HeaderLength): void {
    this.#counters.framesToGuest += count;
    let bytes = -count * header;
    for (let i = 0; i < count; i++) bytes += lengths[i]!;
    this.#counters.bytesToGuest += bytes;
  }

  /** Frames towards the guest that were dropped. */
  countReceiveDrops(frames: number): void {
    this.#counters.droppedToGuest += frames;
  }

  /** As of now, with those that were lost before they came here. */
  snapshot(lostFromGuest = 0, lostToGuest = 0): BackendStatistics {
    const { droppedFromGuest, droppedToGuest } = this.#counters;
    return {
      ...this.#counters,
      droppedFromGuest: droppedFromGuest + lostFromGuest,
      droppedToGuest: droppedToGuest + lostToGuest,
    };
  }
}
