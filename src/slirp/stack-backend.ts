/**
 * The slirp backend's side towards a NIC: the contract NetBackend on a stack. `slirp.ts` adds what a stack offers beyond it.
 */
import {
  SendStatus,
  type BackendStatistics,
  type FrameBatch,
  type HeaderLength,
  type SendResult,
} from "../backend.js";
import { SlirpNicSide } from "../frames/slirp-nic-side.js";
import { SharedField } from "./module-instance.js";
import { featuresAt, offloadBits } from "./offloads.js";
import type { Stack, StackObserver } from "./stack.js";
import { adaptWaitingFrames } from "./waiting-frames.js";

/** See the top of the file. */
export abstract class StackBackend extends SlirpNicSide {
  protected readonly stack: Stack;

  /** `makeStack` is given whom the stack is to tell. */
  protected constructor(makeStack: (observer: Omit<StackObserver, "onLog">) => Stack) {
    super();
    this.stack = makeStack({
      onFrames: (batch) => {
        this.counters.countBatch(batch, this.headerLength);
        this.callbacks?.onFrames(batch);
      },
      onRoom: () => {
        this.afterTurn();
        this.tellWritable();
      },
      onFailure: (error) => {
        this.callbacks?.onError?.(error);
      },
    });
  }

  /** A turn is over. */
  protected abstract afterTurn(): void;

  /** The stack is closed: gives back what came with it. */
  protected abstract release(): Promise<void>;

  send(frame: Uint8Array): SendStatus {
    return this.sendBytes(frame, 0, frame.length);
  }

  sendBatch(batch: FrameBatch): SendResult {
    this.checkOpen();
    const { result } = this;
    result.dropped = 0;
    result.consumed = 0;
    for (; result.consumed < batch.count; result.consumed++) {
      const status = this.sendBytes(
        batch.bytes,
        batch.offsets[result.consumed] ?? 0,
        batch.lengths[result.consumed] ?? 0,
      );
      if (status === SendStatus.mustWait) {
        result.status = status;
        return result;
      }
      if (status === SendStatus.dropped) result.dropped++;
    }
    result.status = result.dropped > 0 ? SendStatus.dropped : SendStatus.taken;
    return result;
  }

  enableReceive(): void {
    this.checkOpen();
    this.receiving = true;
    if (!this.stack.failed) this.stack.setPushing(true);
  }

  disableReceive(): void {
    this.checkOpen();
    this.receiving = false;
    this.stack.setPushing(false);
  }

  statistics(): BackendStatistics {
    this.checkOpen();
    const { instance } = this.stack;
    return this.counters.snapshot(
      instance.get(SharedField.inputDropped),
      instance.get(SharedField.outputDropped),
    );
  }

  protected override get hasFailed(): boolean {
    return this.stack.failed !== undefined;
  }

  protected override peekNext(): number {
    return this.stack.areas.peek();
  }

  protected override takeNext(target: Uint8Array): void {
    const { areas, loop } = this.stack;
    areas.take(target);
    // What was kept back for want of room can come now.
    if (areas.peek() === 0) loop.requestSoon();
  }

  /** See `offloads.ts`. A header says what they are needed for: without one there are none. */
  protected override featuresFor(headerLength: HeaderLength): bigint {
    return featuresAt(headerLength);
  }

  protected override agree(features: bigint, headerLength: HeaderLength): void {
    const { areas, instance } = this.stack;
    // What the NIC has sent before has the header that held until now.
    if (areas.hasInput) this.tryMakeRoom();
    adaptWaitingFrames(instance, this.headerLength, headerLength, features);
    this.headerLength = headerLength;
    this.stack.call(() => {
      instance.exports.frames_set_header(headerLength, offloadBits(features));
    });
  }

  protected override async closeOnce(): Promise<void> {
    // A NIC may close the backend from within onFrames, which the module itself may have called.
    while (this.stack.isBusy) await Promise.resolve();
    this.stack.destroy();
    await this.release();
  }

  protected override putGathered(pieces: readonly Uint8Array[], length: number): boolean {
    const { areas } = this.stack;
    return (
      areas.putGathered(pieces, length) || (this.tryMakeRoom() && areas.putGathered(pieces, length))
    );
  }

  protected override afterPut(): void {
    this.stack.loop.requestSoon();
  }

  private sendBytes(bytes: Uint8Array, offset: number, length: number): SendStatus {
    if (!this.accepts(length)) return SendStatus.dropped;
    const { areas } = this.stack;
    const taken =
      areas.put(bytes, offset, length) || (this.tryMakeRoom() && areas.put(bytes, offset, length));
    return this.finishSend(taken, length);
  }

  /** False from within a callback of the module: the frames then wait for the turn after it. */
  private tryMakeRoom(): boolean {
    if (this.stack.isBusy) return false;
    this.stack.makeRoom();
    return !this.stack.failed;
  }
}
