/**
 * A NetBackend whose other side is TypeScript too: the part that every such backend has in common.
 *
 * It keeps what the contract asks for (receiving on and off, peek and receive, headers, counters, what happens after
 * `close`), so that who derives from it, the port of a switch say, only says where the guest's frames go (`forward`) and
 * gives frames towards the guest to `deliver`. They are gathered until the microtask and pushed as one batch.
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
import { ETHERNET_HEADER_LENGTH, HEADER_LENGTHS, isHeaderLength } from "../virtio-net.js";
import { FrameCounters } from "./frame-counters.js";
import { FrameQueue, type FrameQueueLimits } from "./frame-queue.js";
import { emptySendResult, joinPieces, sendEach } from "./send-each.js";

/** Longest frame that is taken: the longest IP packet behind an Ethernet header. */
const MAX_FRAME_BYTES = 65_535 + ETHERNET_HEADER_LENGTH;

/** See the top of the file. */
export abstract class FramePort implements NetBackend {
  readonly name: string;

  readonly #queue: FrameQueue;
  readonly #result = emptySendResult();
  readonly #counters = new FrameCounters();
  #callbacks: BackendCallbacks | undefined;
  #headerLength: HeaderLength = 0;
  #receiving = false;
  #deliveryDue = false;
  #writableOwed = false;
  #closed = false;

  /** `limits` bound what waits for the guest. */
  constructor(name: string, limits: FrameQueueLimits = {}) {
    this.name = name;
    this.#queue = new FrameQueue(limits);
  }

  /** Where a frame of the guest goes, without header. It lies in `bytes` only until the call returns. */
  protected abstract forward(bytes: Uint8Array, offset: number, length: number): SendStatus;

  /** Called when frames that waited for the guest were taken: there is room again. */
  protected onRoom(): void {
    // Only who answers mustWait for a full queue has to know.
  }

  /** Called once, at the end. */
  protected onClose(): void {
    // Only who is registered somewhere has to know.
  }

  get callbacks(): BackendCallbacks | undefined {
    return this.#callbacks;
  }

  set callbacks(callbacks: BackendCallbacks | undefined) {
    this.#callbacks = callbacks;
    this.#scheduleDelivery();
  }

  /** Whether `close` was called. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** A frame (without header) towards the guest; copied. False where it found no room. */
  deliver(bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.#closed) return false;
    if (!this.#queue.push(bytes, offset, length)) return false;
    this.#scheduleDelivery();
    return true;
  }

  /** Counts a frame that {@link deliver} had no room for and that nobody will bring again. */
  countDroppedToGuest(): void {
    this.#counters.countReceiveDrops(1);
  }

  /** Counts a frame of the guest that was taken and then dropped after all. */
  protected countDroppedFromGuest(): void {
    this.#counters.countSendDrops(1);
  }

  /** Whether the NIC was told to wait, and not yet that it need not. */
  protected get isWritableOwed(): boolean {
    return this.#writableOwed;
  }

  /** What is owed after `forward` answered mustWait. Tells the NIC in a microtask, once, where it is owed. */
  notifyWritable(): void {
    if (!this.#writableOwed) return;
    this.#writableOwed = false;
    queueMicrotask(() => {
      if (!this.#closed) this.#callbacks?.onWritable?.();
    });
  }

  /** Tells the NIC that nothing works any more. */
  notifyError(error: Error): void {
    if (!this.#closed) this.#callbacks?.onError?.(error);
  }

  send(frame: Uint8Array): SendStatus {
    this.#assertOpen("send");
    return this.#sendOne(frame, 0, frame.length);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    this.#assertOpen("sendGathered");
    const frame = joinPieces(pieces, this.#maxFramedBytes());
    return frame ? this.#sendOne(frame, 0, frame.length) : this.#drop();
  }

  sendBatch(batch: FrameBatch): SendResult {
    this.#assertOpen("sendBatch");
    return sendEach(this.#result, batch, this.#sendOne);
  }

  enableReceive(): void {
    this.#assertOpen("enableReceive");
    this.#receiving = true;
    this.#scheduleDelivery();
  }

  disableReceive(): void {
    this.#assertOpen("disableReceive");
    this.#receiving = false;
  }

  peek(): number {
    this.#assertOpen("peek");
    return this.#queue.peek(this.#headerLength);
  }

  receive(target: Uint8Array): number {
    this.#assertOpen("receive");
    const length = this.#queue.shift(target, this.#headerLength);
    if (length > 0) {
      this.#counters.countReceived(length - this.#headerLength);
      this.onRoom();
    }
    return length;
  }

  capabilities(_headerLength: HeaderLength): bigint {
    this.#assertOpen("capabilities");
    return 0n;
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.#assertOpen("setCapabilities");
    if (features !== 0n || !isHeaderLength(headerLength)) {
      throw new SlirpError(
        ErrorCode.unsupportedCapability,
        `${this.name} has no virtio-net features, only header lengths ${HEADER_LENGTHS.join(", ")}; ` +
          `asked for features 0x${features.toString(16)} with header length ${String(headerLength)}`,
      );
    }
    this.#headerLength = headerLength;
  }

  statistics(): BackendStatistics {
    this.#assertOpen("statistics");
    return this.#counters.snapshot();
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#queue.clear();
      this.onClose();
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #maxFramedBytes(): number {
    return this.#headerLength + Math.min(MAX_FRAME_BYTES, this.#queue.maxFrameBytes);
  }

  readonly #sendOne = (bytes: Uint8Array, offset: number, framedLength: number): SendStatus => {
    const length = framedLength - this.#headerLength;
    if (length < ETHERNET_HEADER_LENGTH || framedLength > this.#maxFramedBytes()) {
      return this.#drop();
    }
    const status = this.forward(bytes, offset + this.#headerLength, length);
    if (status === SendStatus.mustWait) {
      this.#writableOwed = true;
    } else if (status === SendStatus.dropped) {
      return this.#drop();
    } else {
      this.#counters.countSent(1, length);
    }
    return status;
  };

  #drop(): SendStatus {
    this.#counters.countSendDrops(1);
    return SendStatus.dropped;
  }

  #scheduleDelivery(): void {
    if (this.#deliveryDue || !this.#receiving || !this.#callbacks || this.#queue.count === 0)
      return;
    this.#deliveryDue = true;
    queueMicrotask(() => {
      this.#deliveryDue = false;
      this.#pushBatch();
    });
  }

  #pushBatch(): void {
    if (this.#closed || !this.#receiving || !this.#callbacks) return;
    const batch = this.#queue.take(this.#headerLength);
    if (!batch) return;
    this.#counters.countBatch(batch, this.#headerLength);
    this.#callbacks.onFrames(batch);
    this.onRoom();
  }

  #assertOpen(call: string): void {
    if (this.#closed) {
      throw new SlirpError(ErrorCode.closed, `${call} on ${this.name}, which is closed`);
    }
  }
}
