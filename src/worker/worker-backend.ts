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
  type BackendStatistics,
  type FrameBatch,
  type HeaderLength,
  type SendResult,
} from "../backend.js";
import type { SlirpError } from "../errors.js";
import { SlirpNicSide } from "../frames/slirp-nic-side.js";
import { Agreement } from "./agreement.js";
import { ParcelKind, ParcelWord, wordsOf } from "./parcel.js";
import { ParcelInbox } from "./parcel-inbox.js";
import { ParcelSender } from "./parcel-sender.js";

const MEMORY_PAGE_BYTES = 65_536;

/** What a worker's stack is reached by. */
export interface BackendLink {
  readonly port: MessagePort;
  post(message: { kind: "capabilities"; features: bigint; header: HeaderLength }): void;
}

/** See the top of the file. */
export abstract class WorkerBackend extends SlirpNicSide {
  private readonly sender: ParcelSender;
  private readonly inbox: ParcelInbox;
  private readonly agreement = new Agreement();
  /** As the stack counts, of its last message. */
  private stackCounters = new Uint32Array(3);
  private deliveryDue = false;
  private flushDue = false;
  private failure: SlirpError | undefined;

  protected constructor(
    private readonly backendLink: BackendLink,
    private readonly features: Readonly<Record<HeaderLength, bigint>>,
  ) {
    super();
    this.sender = new ParcelSender(backendLink.port, (words) => {
      words[ParcelWord.agreement] = this.agreement.number;
    });
    this.inbox = new ParcelInbox({
      agreement: () => this.agreement.number,
      giveBack: (buffer) => {
        if (!this.failure) this.sender.giveBack(buffer);
      },
      onDropped: (frames) => {
        this.counters.countReceiveDrops(frames);
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
        this.counters.countSendDrops(1);
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

  statistics(): BackendStatistics {
    this.checkOpen();
    return this.counters.snapshot(this.stackCounters[0], this.stackCounters[1]);
  }

  protected override get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  protected override peekNext(): number {
    return this.inbox.peek();
  }

  protected override takeNext(target: Uint8Array): void {
    this.inbox.take(target);
  }

  protected override featuresFor(headerLength: HeaderLength): bigint {
    return this.features[headerLength];
  }

  protected override agree(features: bigint, headerLength: HeaderLength): void {
    this.flush();
    this.headerLength = headerLength;
    this.agreement.change(features, headerLength);
    this.backendLink.post({ kind: "capabilities", features, header: headerLength });
  }

  protected override putGathered(pieces: readonly Uint8Array[], length: number): boolean {
    return this.sender.putGathered(pieces, length);
  }

  protected override afterPut(): void {
    if (this.flushDue) return;
    this.flushDue = true;
    queueMicrotask(this.flush);
  }

  /** Sends the frames of this turn now: what is asked after them is answered after them. */
  protected readonly flush = (): void => {
    this.flushDue = false;
    if (!this.failure) this.sender.flush();
  };

  /** The stack or its worker ended by itself. */
  protected fail(error: SlirpError): void {
    if (this.failure || this.isClosed) return;
    this.failure = error;
    this.callbacks?.onError?.(error);
  }

  /** As the stack counts: dropped from the guest, dropped towards it, pages of memory. */
  protected takeCounters(counters: Uint32Array<ArrayBuffer>): void {
    this.stackCounters = counters;
  }

  /** A parcel has come: frames, or an empty one of ours. */
  protected takeParcel(buffer: ArrayBuffer): void {
    if (this.isClosed || this.failure) return;
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

  protected override async closeOnce(): Promise<void> {
    this.flush();
    // Whoever closes twice in one go must find it closed.
    await Promise.resolve();
    await this.release();
    this.inbox.clear();
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
    while (this.receiving && !this.isClosed && !this.failure) {
      const batch = this.inbox.takeBatch();
      if (!batch) return;
      this.counters.countBatch(batch, this.headerLength);
      try {
        this.callbacks?.onFrames(batch);
      } catch (error) {
        this.log(`the NIC's onFrames threw: ${String(error)}`);
      }
      this.inbox.finishBatch();
    }
  }
}
