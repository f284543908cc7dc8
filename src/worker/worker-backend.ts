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
import { ParcelKind, ParcelReader, ParcelWord, wordsOf } from "./parcel.js";
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
  /** Where in `current` pulling is. The other is free, or in a batch that is being delivered. */
  private reader = new ParcelReader();
  private otherReader = new ParcelReader();
  private readonly inbox: ArrayBuffer[] = [];
  /** The parcel that `reader` is in. */
  private current: ArrayBuffer | undefined;
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
    return this.sendBytes(frame, 0, frame.length);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (!this.accepts(length)) return SendStatus.dropped;
    return this.finishSend(this.sender.putGathered(pieces, length), length);
  }

  sendBatch(batch: FrameBatch): SendResult {
    const { result } = this;
    result.dropped = 0;
    result.consumed = 0;
    for (; result.consumed < batch.count; result.consumed++) {
      const offset = batch.offsets[result.consumed] ?? 0;
      const status = this.sendBytes(batch.bytes, offset, batch.lengths[result.consumed] ?? 0);
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
    if (this.peekParcel() > 0) this.deliverSoon();
  }

  disableReceive(): void {
    this.checkOpen();
    this.receiving = false;
  }

  peek(): number {
    this.checkPulling();
    return this.peekParcel();
  }

  receive(target: Uint8Array): number {
    this.checkPulling();
    const length = this.peekParcel();
    if (length === 0) return 0;
    if (length > target.length) {
      throw new RangeError(
        `the next frame has ${String(length)} bytes, the target only ${String(target.length)}`,
      );
    }
    this.reader.take(target);
    this.counters.framesToGuest++;
    this.counters.bytesToGuest += length - this.headerLength;
    if (this.reader.peek() === 0) this.finishParcel();
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
    this.inbox.length = 0;
    this.current = undefined;
  }

  private checkPulling(): void {
    this.checkOpen();
    if (this.receiving) {
      const text = "frames are pushed: call disableReceive before peek or receive";
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
  }

  private accepts(length: number): boolean {
    this.checkOpen();
    const bytes = length - this.headerLength;
    if (!this.failure && bytes >= ETHERNET_HEADER_BYTES && bytes <= MAX_FRAME_BYTES) return true;
    this.dropped++;
    return false;
  }

  private sendBytes(bytes: Uint8Array, offset: number, length: number): SendStatus {
    if (!this.accepts(length)) return SendStatus.dropped;
    return this.finishSend(this.sender.put(bytes, offset, length), length);
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

  /** Length of the next frame that waits here, 0 for none. */
  private peekParcel(): number {
    while (!this.current) {
      const buffer = this.inbox.shift();
      if (!buffer) return 0;
      this.current = buffer;
      this.reader.open(buffer);
      if (wordsOf(buffer)[ParcelWord.headerLength] === this.headerLength) break;
      // They were made before the NIC asked for another header.
      this.droppedToGuest += this.reader.count;
      this.finishParcel();
    }
    return this.reader.peek();
  }

  private finishParcel(): void {
    const buffer = this.current;
    this.current = undefined;
    if (buffer && !this.failure) this.sender.giveBack(buffer);
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
    while (this.receiving && !this.closing && !this.failure && this.peekParcel() > 0) {
      // The callback may turn receiving off and pull.
      const { current, reader } = this;
      this.current = undefined;
      this.reader = this.otherReader;
      this.otherReader = reader;
      const batch = reader.takeRest();
      counters.framesToGuest += batch.count;
      for (let i = 0; i < batch.count; i++) {
        counters.bytesToGuest += (batch.lengths[i] ?? 0) - this.headerLength;
      }
      try {
        this.callbacks?.onFrames(batch);
      } catch (error) {
        this.log(`the NIC's onFrames threw: ${String(error)}`);
      }
      if (current) this.sender.giveBack(current);
    }
  }
}
