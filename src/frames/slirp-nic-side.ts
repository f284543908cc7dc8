/**
 * What a slirp backend is to a NIC, wherever its stack runs: the part of the contract NetBackend that is the same for a stack in this
 * thread and for one in a worker. It says which frames are taken at all, what calls are allowed when, counts, and closes once. Who
 * derives from it moves the frames.
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
import { ETHERNET_HEADER_LENGTH, featureConflict, isHeaderLength } from "../virtio-net.js";
import { FrameCounters } from "./frame-counters.js";
import { emptySendResult } from "./send-each.js";

/** The largest IPv6 packet (its length field does not count its header) and an Ethernet header; a longer frame is no frame. */
const MAX_FRAME_BYTES = ETHERNET_HEADER_LENGTH + 40 + 65535;

/** See the top of the file. */
export abstract class SlirpNicSide implements NetBackend {
  readonly name = "slirp";
  callbacks: BackendCallbacks | undefined;

  /** Filled anew by each `sendBatch`. */
  protected readonly result = emptySendResult();
  protected readonly counters = new FrameCounters();
  protected headerLength: HeaderLength = 0;
  /** Frames are pushed. */
  protected receiving = false;
  private nicWaits = false;
  private closing: Promise<void> | undefined;

  abstract send(frame: Uint8Array): SendStatus;
  abstract sendBatch(batch: FrameBatch): SendResult;
  abstract enableReceive(): void;
  abstract disableReceive(): void;
  abstract statistics(): BackendStatistics;

  /** Copies the pieces of one frame, `length` bytes in all. False where there is no room. */
  protected abstract putGathered(pieces: readonly Uint8Array[], length: number): boolean;

  /** A frame was put: sees to it that it goes on. */
  protected abstract afterPut(): void;

  /** Length of the frame that `takeNext` would give, 0 for none. */
  protected abstract peekNext(): number;

  /** Moves the next frame into `target`, which has room for it. */
  protected abstract takeNext(target: Uint8Array): void;

  /** What the stack can do for a NIC with that header. */
  protected abstract featuresFor(headerLength: HeaderLength): bigint;

  /** NIC and stack have agreed, and `headerLength` is to hold from now on. */
  protected abstract agree(features: bigint, headerLength: HeaderLength): void;

  /** The stack has ended by itself: no frame is taken any more. */
  protected abstract get hasFailed(): boolean;

  /** Ends the stack and what came with it. Called once; callbacks are gone by then. */
  protected abstract closeOnce(): Promise<void>;

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (!this.accepts(length)) return SendStatus.dropped;
    return this.finishSend(this.putGathered(pieces, length), length);
  }

  peek(): number {
    this.checkPulling();
    return this.peekNext();
  }

  receive(target: Uint8Array): number {
    this.checkPulling();
    const length = this.peekNext();
    if (length === 0) return 0;
    if (length > target.length) {
      throw new RangeError(
        `the next frame has ${String(length)} bytes, the target only ${String(target.length)}`,
      );
    }
    this.takeNext(target);
    this.counters.countReceived(length - this.headerLength);
    return length;
  }

  capabilities(headerLength: HeaderLength): bigint {
    this.checkOpen();
    return isHeaderLength(headerLength) ? this.featuresFor(headerLength) : 0n;
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.checkOpen();
    const conflict = isHeaderLength(headerLength)
      ? featureConflict(features, this.featuresFor(headerLength))
      : "header lengths are 0, 10 and 12";
    if (conflict !== undefined) {
      const asked = `features 0x${features.toString(16)} with header length ${String(headerLength)}`;
      const text = `slirp cannot do ${asked}: ${conflict}`;
      throw new SlirpError(ErrorCode.unsupportedCapability, text);
    }
    this.agree(features, headerLength);
  }

  close(): Promise<void> {
    if (!this.closing) {
      this.callbacks = undefined;
      this.closing = this.closeOnce();
    }
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** `close` was called. */
  protected get isClosed(): boolean {
    return this.closing !== undefined;
  }

  /** @throws SlirpError `closed`. */
  protected checkOpen(): void {
    if (this.closing) throw new SlirpError(ErrorCode.closed, "the slirp backend is closed");
  }

  /** Whether it is a frame by its length, header included, and there is somebody to take it. */
  protected isFrame(length: number): boolean {
    const bytes = length - this.headerLength;
    return !this.hasFailed && bytes >= ETHERNET_HEADER_LENGTH && bytes <= MAX_FRAME_BYTES;
  }

  /** As `isFrame`; counts what is none. */
  protected accepts(length: number): boolean {
    this.checkOpen();
    const isFrame = this.isFrame(length);
    if (!isFrame) this.counters.countSendDrops(1);
    return isFrame;
  }

  /** A frame was taken, or found no room: then the NIC is owed an `onWritable`. */
  protected finishSend(taken: boolean, length: number): SendStatus {
    this.afterPut();
    if (taken) {
      this.counters.countSent(1, length - this.headerLength);
      return SendStatus.taken;
    }
    this.nicWaits = true;
    return SendStatus.mustWait;
  }

  /** There is room again. */
  protected tellWritable(): void {
    if (!this.nicWaits) return;
    this.nicWaits = false;
    this.callbacks?.onWritable?.();
  }

  private checkPulling(): void {
    this.checkOpen();
    if (!this.receiving) return;
    const text = "frames are pushed: call disableReceive before peek or receive";
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
}
