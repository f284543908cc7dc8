/**
 * The NetBackend side of a stack in a worker. All of it is synchronous, as the contract wants it, on what lies in this thread: credits say
 * what `send` answers, parcels that have come are what `peek` and `receive` see, and what the stack has dropped is
 * known as of its last message.
 *
 * Frames of one turn of this thread travel together, in a microtask behind the first. Towards the guest a parcel stays here until the
 * NIC has taken all of it; its buffer is the credit that the worker waits for, so a NIC that takes nothing holds back the stack and
 * its TCP connections, as it does when the stack is in the same thread.
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
import { ParcelKind, ParcelWord, wordsOf } from "./parcel.js";
import { ParcelInbox } from "./parcel-inbox.js";
import { ParcelSender } from "./parcel-sender.js";

const ETHERNET_HEADER_BYTES = 14;
/** As the stack itself has it: the largest IPv6 payload, its header and Ethernet's; a longer frame is no frame. */
const MAX_FRAME_BYTES = ETHERNET_HEADER_BYTES + 40 + 65535;
const MEMORY_PAGE_BYTES = 65_536;

/** What a worker's stack is reached by. */
export interface BackendLink {
  readonly port: MessagePort;
  post(message: { kind: "capabilities"; features: bigint; header: HeaderLength }): void;
}

/** See the top of the file. */
export abstract class WorkerBackend implements NetBackend {
  readonly name = "slirp";
  callbacks: BackendCallbacks | undefined;

  private readonly sender: ParcelSender;
  private readonly inbox: ParcelInbox;
  private readonly result = { status: SendStatus.taken as SendStatus, consumed: 0, dropped: 0 };
  private readonly counters = {
    framesFromGuest: 0,
    framesToGuest: 0,
    bytesFromGuest: 0,
    bytesToGuest: 0,
  };
  private dropped = 0;
  private droppedToGuest = 0;
  /** As the stack counts, of its last message. */
  private stackCounters = new Uint32Array(3);
  private headerLength: HeaderLength = 0;
  private receiving = false;
  private deliveryDue = false;
  private flushDue = false;
  private nicWaits = false;
  private failure: SlirpError | undefined;
  private closing: Promise<void> | undefined;

  protected constructor(
    private readonly backendLink: BackendLink,
    private readonly features: Readonly<Record<HeaderLength, bigint>>,
  ) {
    this.sender = new ParcelSender(backendLink.port, (words) => {
      words[ParcelWord.headerLength] = this.headerLength;
    });
    this.inbox = new ParcelInbox({
      headerLength: () => this.headerLength,
      giveBack: (buffer) => {
        if (!this.failure) this.sender.giveBack(buffer);
      },
      onDropped: (frames) => {
        this.droppedToGuest += frames;
      },
    });
  }

  /** Ends the stack and what came with it. */
  protected abstract release(): Promise<void>;

  /** Something that a callback threw. */
  protected abstract log(text: string): void;

  /** Linear memory of the stack, bytes, as of its last message. */
  get memoryBytes(): number {
    return (this.stackCounters[2] ?? 0) * MEMORY_PAGE_BYTES;
  }

  send(frame: Uint8Array): SendStatus {
    if (!this.accepts(frame.length)) return SendStatus.dropped;
    return this.finishSend(this.sender.put(frame), frame.length);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (!this.accepts(length)) return SendStatus.dropped;
    return this.finishSend(this.sender.putGathered(pieces, length), length);
  }

  sendBatch(batch: FrameBatch): SendResult {
    this.checkOpen();
    const { result } = this;
    const { count, lengths } = batch;
    result.status = SendStatus.taken;
    result.dropped = 0;
    result.consumed = 0;
    while (result.consumed < count) {
      const first = result.consumed;
      let end = first;
      while (end < count && this.isFrame(lengths[end] ?? 0)) end++;
      if (end === first) {
        this.dropped++;
        result.dropped++;
        result.consumed++;
        continue;
      }
      const put = this.sender.putRun(batch, first, end, false);
      for (let i = first; i < first + put; i++) this.finishSend(true, lengths[i] ?? 0);
      result.consumed += put;
      if (put === 0) {
        result.status = this.finishSend(false, 0);
        return result;
      }
    }
    if (result.dropped > 0) result.status = SendStatus.dropped;
    return result;
  }

  enableReceive(): void {
    this.checkOpen();
    this.receiving = true;
    if (this.inbox.peek() > 0) this.deliverSoon();
  }

  disableReceive(): void {
    this.checkOpen();
    this.receiving = false;
  }

  peek(): number {
    this.checkPulling();
    return this.inbox.peek();
  }

  receive(target: Uint8Array): number {
    this.checkPulling();
    const length = this.inbox.peek();
    if (length === 0) return 0;
    if (length > target.length) {
      throw new RangeError(
        `the next frame has ${String(length)} bytes, the target only ${String(target.length)}`,
      );
    }
    this.inbox.take(target);
    this.counters.framesToGuest++;
    this.counters.bytesToGuest += length - this.headerLength;
    return length;
  }

  capabilities(headerLength: HeaderLength): bigint {
    this.checkOpen();
    return isHeaderLength(headerLength) ? this.features[headerLength] : 0n;
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.checkOpen();
    const conflict = isHeaderLength(headerLength)
      ? featureConflict(features, this.features[headerLength])
      : "header lengths are 0, 10 and 12";
    if (conflict !== undefined) {
      const asked = `features 0x${features.toString(16)} with header length ${String(headerLength)}`;
      const text = `slirp cannot do ${asked}: ${conflict}`;
      throw new SlirpError(ErrorCode.unsupportedCapability, text);
    }
    this.flush();
    this.headerLength = headerLength;
    this.backendLink.post({ kind: "capabilities", features, header: headerLength });
  }

  statistics(): BackendStatistics {
    this.checkOpen();
    return {
      ...this.counters,
      droppedFromGuest: this.dropped + (this.stackCounters[0] ?? 0),
      droppedToGuest: this.droppedToGuest + (this.stackCounters[1] ?? 0),
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

  /** `close` was called. */
  protected get isClosed(): boolean {
    return this.closing !== undefined;
  }

  /** Sends the frames of this turn now: what is asked after them is answered after them. */
  protected readonly flush = (): void => {
    this.flushDue = false;
    if (!this.failure) this.sender.flush();
  };

  /** The stack or its worker ended by itself. */
  protected fail(error: SlirpError): void {
    if (this.failure || this.closing) return;
    this.failure = error;
    this.callbacks?.onError?.(error);
  }

  /** As the stack counts: dropped from the guest, dropped towards it, pages of memory. */
  protected takeCounters(counters: Uint32Array<ArrayBuffer>): void {
    this.stackCounters = counters;
  }

  /** A parcel has come: frames, or an empty one of ours. */
  protected takeParcel(buffer: ArrayBuffer): void {
    if (this.closing || this.failure) return;
    const words = wordsOf(buffer);
    const { stackCounters } = this;
    stackCounters[0] = words[ParcelWord.droppedFromGuest] ?? 0;
    stackCounters[1] = words[ParcelWord.droppedToGuest] ?? 0;
    stackCounters[2] = words[ParcelWord.memoryPages] ?? 0;
    if (words[ParcelWord.kind] === ParcelKind.returned) {
      this.sender.takeBack(buffer);
      this.tellWritable();
    } else {
      this.inbox.push(buffer);
      if (this.receiving && !this.deliveryDue) this.deliver();
    }
  }

  private async closeOnce(): Promise<void> {
    this.callbacks = undefined;
    this.flush();
    // Whoever closes twice in one go must find it closed.
    await Promise.resolve();
    await this.release();
    this.inbox.clear();
  }

  private checkPulling(): void {
    this.checkOpen();
    if (this.receiving) {
      const text = "frames are pushed: call disableReceive before peek or receive";
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
  }

  /** Whether it is a frame by its length, and there is somebody to take it. */
  private isFrame(length: number): boolean {
    const bytes = length - this.headerLength;
    return !this.failure && bytes >= ETHERNET_HEADER_BYTES && bytes <= MAX_FRAME_BYTES;
  }

  private accepts(length: number): boolean {
    this.checkOpen();
    const isFrame = this.isFrame(length);
    if (!isFrame) this.dropped++;
    return isFrame;
  }

  private finishSend(taken: boolean, length: number): SendStatus {
    if (!taken) {
      this.nicWaits = true;
      return SendStatus.mustWait;
    }
    this.counters.framesFromGuest++;
    this.counters.bytesFromGuest += length - this.headerLength;
    if (!this.flushDue) {
      this.flushDue = true;
      queueMicrotask(this.flush);
    }
    return SendStatus.taken;
  }

  private tellWritable(): void {
    if (!this.nicWaits) return;
    this.nicWaits = false;
    this.callbacks?.onWritable?.();
  }

  private deliverSoon(): void {
    if (this.deliveryDue) return;
    this.deliveryDue = true;
    queueMicrotask(() => {
      this.deliveryDue = false;
      this.deliver();
    });
  }

  private deliver(): void {
    const { counters } = this;
    while (this.receiving && !this.closing && !this.failure) {
      const batch = this.inbox.takeBatch();
      if (!batch) return;
      counters.framesToGuest += batch.count;
      for (let i = 0; i < batch.count; i++) {
        counters.bytesToGuest += (batch.lengths[i] ?? 0) - this.headerLength;
      }
      try {
        this.callbacks?.onFrames(batch);
      } catch (error) {
        this.log(`the NIC's onFrames threw: ${String(error)}`);
      }
      this.inbox.finishBatch();
    }
  }
}
