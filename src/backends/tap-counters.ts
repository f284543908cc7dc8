/** What went through a TAP backend. */
import type { BackendStatistics, FrameBatch, HeaderLength } from "../backend.js";

/** See the top of the file. */
export class TapCounters {
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

  countSendDrops(frames: number): void {
    this.#counters.droppedFromGuest += frames;
  }

  countReceived(
    { count, lengths }: Pick<FrameBatch, "count" | "lengths">,
    header: HeaderLength,
  ): void {
    this.#counters.framesToGuest += count;
    let bytes = -count * header;
    for (let i = 0; i < count; i++) bytes += lengths[i]!;
    this.#counters.bytesToGuest += bytes;
  }

  countReceiveDrop(): void {
    this.#counters.droppedToGuest++;
  }

  /** As of now, with those that were lost before they came here. */
  snapshot(lostToGuest: number): BackendStatistics {
    const { droppedToGuest } = this.#counters;
    return { ...this.#counters, droppedToGuest: droppedToGuest + lostToGuest };
  }
}
