/**
 * The slirp backend's side towards a NIC: the contract NetBackend on a stack. `slirp.ts` adds what a stack offers beyond it.
 */
import {
  SendStatus,
  type BackendCallbacks,
  type BackendStatistics,
  type FrameBatch,
  type HeaderLength,
  type NetBackend,
  type SendResult,
} from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { featureConflict, isHeaderLength } from "../virtio-net.js";
import { SharedField } from "./module-instance.js";
import { featuresAt, offloadBits } from "./offloads.js";
import type { Stack, StackObserver } from "./stack.js";

const ETHERNET_HEADER_BYTES = 14;
/** The largest IPv6 packet (its length field does not count its header) and an Ethernet header; a longer frame is no frame. */
const MAX_FRAME_BYTES = ETHERNET_HEADER_BYTES + 40 + 65535;

/** See the top of the file. */
export abstract class StackBackend implements NetBackend {
  readonly name = "slirp";
  callbacks: BackendCallbacks | undefined;

  protected readonly stack: Stack;
  private readonly result = { status: SendStatus.taken as SendStatus, consumed: 0, dropped: 0 };
  private readonly counters = {
    framesFromGuest: 0,
    framesToGuest: 0,
    bytesFromGuest: 0,
    bytesToGuest: 0,
    dropped: 0,
  };
  private headerLength: HeaderLength = 0;
  private receiving = false;
  private nicWaits = false;
  private closing: Promise<void> | undefined;

  /** `makeStack` is given whom the stack is to tell. */
  protected constructor(makeStack: (observer: Omit<StackObserver, "onLog">) => Stack) {
    this.stack = makeStack({
      onFrames: (batch) => {
        this.pushFrames(batch);
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

  /** `close` was called. */
  protected get isClosed(): boolean {
    return this.closing !== undefined;
  }

  send(frame: Uint8Array): SendStatus {
    return this.sendBytes(frame, 0, frame.length);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (!this.accepts(length)) return SendStatus.dropped;
    const taken =
      this.stack.areas.putGathered(pieces, length) ||
      (this.tryMakeRoom() && this.stack.areas.putGathered(pieces, length));
    return this.finishSend(taken, length);
  }

  sendBatch(batch: FrameBatch): SendResult {
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

  peek(): number {
    this.checkPulling();
    return this.stack.areas.peek();
  }

  receive(target: Uint8Array): number {
    this.checkPulling();
    const { areas, loop } = this.stack;
    const length = areas.peek();
    if (length === 0) return 0;
    if (length > target.length) {
      throw new RangeError(
        `the next frame has ${String(length)} bytes, the target only ${String(target.length)}`,
      );
    }
    areas.take(target);
    this.counters.framesToGuest++;
    this.counters.bytesToGuest += length - this.headerLength;
    // What was kept back for want of room can come now.
    if (areas.peek() === 0) loop.requestSoon();
    return length;
  }

  /** See `offloads.ts`. A header says what they are needed for: without one there are none. */
  capabilities(headerLength: HeaderLength): bigint {
    this.checkOpen();
    return isHeaderLength(headerLength) ? featuresAt(headerLength) : 0n;
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.checkOpen();
    const conflict = isHeaderLength(headerLength)
      ? featureConflict(features, featuresAt(headerLength))
      : "header lengths are 0, 10 and 12";
    if (conflict !== undefined) {
      const asked = `features 0x${features.toString(16)} with header length ${String(headerLength)}`;
      throw new SlirpError(
        ErrorCode.unsupportedCapability,
        `slirp cannot do ${asked}: ${conflict}`,
      );
    }
    this.headerLength = headerLength;
    this.stack.call(() => {
      this.stack.instance.exports.frames_set_header(headerLength, offloadBits(features));
    });
  }

  statistics(): BackendStatistics {
    this.checkOpen();
    const { instance } = this.stack;
    const { dropped, ...counters } = this.counters;
    return {
      ...counters,
      droppedFromGuest: dropped + instance.get(SharedField.inputDropped),
      droppedToGuest: instance.get(SharedField.outputDropped),
    };
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @throws SlirpError `closed`. */
  protected checkOpen(): void {
    if (this.closing) throw new SlirpError(ErrorCode.closed, "the slirp backend is closed");
  }

  private async closeOnce(): Promise<void> {
    this.callbacks = undefined;
    // A NIC may close the backend from within onFrames, which the module itself may have called.
    while (this.stack.isBusy) await Promise.resolve();
    this.stack.destroy();
    await this.release();
  }

  private checkPulling(): void {
    this.checkOpen();
    if (this.receiving) {
      throw new SlirpError(
        ErrorCode.invalidConfiguration,
        "frames are pushed: call disableReceive before peek or receive",
      );
    }
  }

  private accepts(length: number): boolean {
    this.checkOpen();
    const bytes = length - this.headerLength;
    if (!this.stack.failed && bytes >= ETHERNET_HEADER_BYTES && bytes <= MAX_FRAME_BYTES)
      return true;
    this.counters.dropped++;
    return false;
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

  private finishSend(taken: boolean, length: number): SendStatus {
    this.stack.loop.requestSoon();
    if (taken) {
      this.counters.framesFromGuest++;
      this.counters.bytesFromGuest += length - this.headerLength;
      return SendStatus.taken;
    }
    this.nicWaits = true;
    return SendStatus.mustWait;
  }

  private pushFrames(batch: FrameBatch): void {
    const { callbacks, counters } = this;
    counters.framesToGuest += batch.count;
    for (let i = 0; i < batch.count; i++)
      counters.bytesToGuest += (batch.lengths[i] ?? 0) - this.headerLength;
    callbacks?.onFrames(batch);
  }

  private tellWritable(): void {
    if (!this.nicWaits) return;
    this.nicWaits = false;
    this.callbacks?.onWritable?.();
  }
}
