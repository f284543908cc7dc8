/**
 * Offloads in software: a backend around one that can do fewer of them, or none, for a NIC that has promised them to its guest already.
 *
 *     const backend = withOffloads(await openBackend("wss://relay.example/l2/lab"));
 *     backend.setCapabilities(backend.capabilities(12), 12);
 *
 * A guest agrees with its NIC on offloads once, when its driver starts; the backend may be another one later. And a TAP whose kernel may
 * hand out frames of 64 KiB costs a system call for each of them instead of for each 1500 bytes, whatever is at the other end of its cable.
 *
 * What the backend itself can do is left to it. Else frames from the guest are cut and their checksums finished (`frame-translator.ts`), and
 * frames towards it that follow each other in a batch are joined (`frame-joiner.ts`). Nothing waits for more to join. Of the parts of a frame
 * that the backend has no room for, those are kept that are left: one frame's, for no other is taken meanwhile.
 */
import {
  SendStatus,
  type BackendStatistics,
  type FrameBatch,
  type HeaderLength,
  type NetBackend,
  type SendResult,
} from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { guestOffloads, hostOffloads } from "../frames/frame-translator.js";
import { featureConflict, isHeaderLength, VirtioNetFeature } from "../virtio-net.js";
import { emptySendResult, joinPieces, sendEach } from "../frames/send-each.js";
import { CutFrames } from "./cut-frames.js";
import { JoinedFrames } from "./joined-frames.js";
import { WrappedBackend } from "./wrapped-backend.js";

/** How offloads are done. */
export interface OffloadingOptions {
  /**
   * Leave to the backend what it can do itself. Default true. False hands it plain frames alone, as they would be on a wire: what a capture
   * around it shows then needs no guessing at checksums.
   */
  readonly usesBackend?: boolean;
  /** Join frames towards a NIC that takes long ones, which looks at each byte for its checksum. Default true. */
  readonly joins?: boolean;
}

const FROM_GUEST =
  VirtioNetFeature.checksum |
  VirtioNetFeature.hostTso4 |
  VirtioNetFeature.hostTso6 |
  VirtioNetFeature.hostEcn |
  VirtioNetFeature.hostUfo |
  VirtioNetFeature.hostUso;
/** A NIC that takes these may be given them; nobody must. */
const TOWARDS_GUEST =
  VirtioNetFeature.guestChecksum |
  VirtioNetFeature.guestTso4 |
  VirtioNetFeature.guestTso6 |
  VirtioNetFeature.guestEcn |
  VirtioNetFeature.guestUso4 |
  VirtioNetFeature.guestUso6;

/** See the top of the file. */
export class OffloadingBackend<
  Inner extends NetBackend = NetBackend,
> extends WrappedBackend<Inner> {
  readonly #usesBackend: boolean;
  readonly #joins: boolean;
  readonly #result = emptySendResult();
  #headerLength: HeaderLength = 0;
  #innerLength: HeaderLength = 0;
  /** Undefined where the backend takes and gives what the NIC does. */
  #cutting: CutFrames | undefined;
  #joining: JoinedFrames | undefined;
  #writableOwed = false;
  #dropped = 0;

  constructor(backend: Inner, options: OffloadingOptions = {}) {
    super(backend);
    this.#usesBackend = options.usesBackend ?? true;
    this.#joins = options.joins ?? true;
  }

  protected override onBatch(batch: FrameBatch): FrameBatch {
    return this.#joining ? this.#joining.join(batch) : batch;
  }

  protected override isWritable(): boolean {
    if (this.#cutting && !(this.#cutting.resume() && this.#writableOwed)) return false;
    this.#writableOwed = false;
    return true;
  }

  send(frame: Uint8Array): SendStatus {
    return this.#cutting ? this.#cut(frame, 0, frame.length) : this.inner.send(frame);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    if (!this.#cutting) return this.inner.sendGathered(pieces);
    // What is too long for any frame need not be put together.
    const frame = joinPieces(pieces, CutFrames.maxFramedBytes);
    return frame ? this.#cut(frame, 0, frame.length) : this.#drop();
  }

  sendBatch(batch: FrameBatch): SendResult {
    if (!this.#cutting) return this.inner.sendBatch(batch);
    return sendEach(this.#result, batch, this.#cut);
  }

  override peek(): number {
    const length = this.inner.peek();
    return length === 0 ? 0 : length + this.#headerLength - this.#innerLength;
  }

  receive(target: Uint8Array): number {
    return this.#joining ? this.#joining.receive(this.inner, target) : this.inner.receive(target);
  }

  override capabilities(headerLength: HeaderLength): bigint {
    const own = this.inner.capabilities(headerLength);
    return headerLength === 0 ? own : own | FROM_GUEST | TOWARDS_GUEST;
  }

  override setCapabilities(features: bigint, headerLength: HeaderLength): void {
    const problem = isHeaderLength(headerLength)
      ? featureConflict(features, this.capabilities(headerLength))
      : `there is no header of ${String(headerLength)} bytes`;
    if (problem !== undefined) {
      throw new SlirpError(ErrorCode.unsupportedCapability, `${this.name}: ${problem}`);
    }
    const inner = this.#agreeWithin(features, headerLength);
    const innerLength = this.#innerLength;
    this.#headerLength = headerLength;
    // Parts of a frame that wait have a header which is the backend's no more.
    if (this.#cutting?.isWaiting) this.#dropped++;
    const missing = features & ~inner;
    const isSame = headerLength === innerLength;
    const mustCut = !isSame || (missing & FROM_GUEST) !== 0n;
    const takes = hostOffloads(inner);
    this.#cutting = mustCut
      ? new CutFrames(this.inner, takes, headerLength, innerLength)
      : undefined;
    const mustJoin = this.#joins && (missing & TOWARDS_GUEST) !== 0n;
    const wants = guestOffloads(mustJoin ? features : 0n);
    this.#joining =
      mustJoin || !isSame ? new JoinedFrames(wants, headerLength, innerLength) : undefined;
  }

  /** What the backend itself does of these features. */
  #agreeWithin(features: bigint, headerLength: HeaderLength): bigint {
    const inner = this.#usesBackend ? features & this.inner.capabilities(headerLength) : 0n;
    try {
      if (inner !== 0n) {
        this.inner.setCapabilities(inner, headerLength);
        this.#innerLength = headerLength;
        return inner;
      }
    } catch (error) {
      const isUnfit = error instanceof SlirpError && error.code === ErrorCode.unsupportedCapability;
      if (!isUnfit) throw error;
      // It can do each, but not these together: then all of it is done here.
    }
    this.inner.setCapabilities(0n, 0);
    this.#innerLength = 0;
    return 0n;
  }

  override statistics(): BackendStatistics {
    const inner = this.inner.statistics();
    return { ...inner, droppedFromGuest: inner.droppedFromGuest + this.#dropped };
  }

  override close(): Promise<void> {
    this.#cutting = undefined;
    return this.inner.close();
  }

  readonly #cut = (bytes: Uint8Array, offset: number, length: number): SendStatus => {
    const status = this.#cutting?.send(bytes, offset, length);
    if (status === undefined) return this.#drop();
    if (status === SendStatus.mustWait) this.#writableOwed = true;
    return status;
  };

  #drop(): SendStatus {
    // Throws where it is closed.
    this.inner.statistics();
    this.#dropped++;
    return SendStatus.dropped;
  }
}

/**
 * Puts offloads in software around a backend: use what it answers instead. The statistics are those of the backend, which counts parts of
 * cut frames and frames that are not joined yet.
 */
export function withOffloads<Inner extends NetBackend>(
  backend: Inner,
  options?: OffloadingOptions,
): OffloadingBackend<Inner> {
  return new OffloadingBackend(backend, options);
}
