/**
 * Two backends that are each other's network: what one side sends, the other receives. A NIC under test is put on one side
 * and the test holds the other.
 */
import { SendStatus } from "../../src/backend.js";
import { FramePort } from "../../src/frames/frame-port.js";
import type { FrameQueueLimits } from "../../src/frames/frame-queue.js";

/** One of the two. A frame that the other side has no room for has to wait. */
export class PairEnd extends FramePort {
  #other: PairEnd | undefined;

  /** Joins two ends, once. */
  static join(one: PairEnd, other: PairEnd): void {
    one.#other = other;
    other.#other = one;
  }

  protected override forward(bytes: Uint8Array, offset: number, length: number): SendStatus {
    if (!this.#other || this.#other.isClosed) return SendStatus.dropped;
    return this.#other.deliver(bytes, offset, length) ? SendStatus.taken : SendStatus.mustWait;
  }

  protected override onRoom(): void {
    this.#other?.notifyWritable();
  }
}

/** Makes a pair. `limits` bound what waits at each end. */
export function createBackendPair(limits?: FrameQueueLimits): { near: PairEnd; far: PairEnd } {
  const near = new PairEnd("pair:near", limits);
  const far = new PairEnd("pair:far", limits);
  PairEnd.join(near, far);
  return { near, far };
}
