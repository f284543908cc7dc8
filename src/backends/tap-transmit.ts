/** Frames from the guest: what becomes of them, and the counting of it. */
import { SendStatus, type FrameBatch, type HeaderLength, type SendResult } from "../backend.js";
import { MAX_PIECES, PortAnswer, PortStatus, type FramePort } from "./tap-addon.js";
import type { FrameCounters } from "../frames/frame-counters.js";
import { codeOf, errnoError } from "./tap-errors.js";

const STATUS = {
  [PortStatus.taken]: SendStatus.taken,
  [PortStatus.dropped]: SendStatus.dropped,
  [PortStatus.mustWait]: SendStatus.mustWait,
} as const;

/** Errors after which a device takes nothing any more: it was deleted, or its rings make no sense. */
const FATAL = new Set(["EBADFD", "EPROTO"]);

/** What {@link TapTransmit} needs of the backend. */
export interface TapTransmitParts {
  readonly port: FramePort;
  readonly answers: Uint32Array;
  readonly counters: FrameCounters;
  /** Whether the kernel would take frames, and nobody see them. */
  readonly leadsNowhere: () => boolean;
  /** Told when the device is gone. */
  readonly onGone: (error: Error) => void;
}

/** See the top of the file. */
export class TapTransmit {
  headerLength: HeaderLength = 0;

  readonly #parts: TapTransmitParts;
  readonly #result = { status: SendStatus.taken as SendStatus, consumed: 0, dropped: 0 };

  constructor(parts: TapTransmitParts) {
    this.#parts = parts;
  }

  send(frame: Uint8Array): SendStatus {
    const { port, leadsNowhere } = this.#parts;
    if (leadsNowhere()) return this.#dropUnseen(1);
    return this.#settle(port.send(frame), frame.length);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    const { port, leadsNowhere } = this.#parts;
    if (leadsNowhere()) return this.#dropUnseen(1);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const few = pieces.length <= MAX_PIECES ? pieces : [Buffer.concat(pieces, length)];
    return this.#settle(port.sendGathered(few), length);
  }

  sendBatch({ bytes, offsets, lengths, count }: FrameBatch): SendResult {
    const { port, answers, counters, leadsNowhere } = this.#parts;
    const result = this.#result;
    if (leadsNowhere()) {
      const status = count > 0 ? this.#dropUnseen(count) : SendStatus.taken;
      return Object.assign(result, { status, consumed: count, dropped: count });
    }
    const status = port.sendBatch(bytes, offsets, lengths, count);
    const consumed = answers[PortAnswer.consumed]!;
    const dropped = answers[PortAnswer.dropped]!;
    result.consumed = consumed;
    result.dropped = dropped;
    if (status === PortStatus.mustWait) result.status = SendStatus.mustWait;
    else result.status = dropped > 0 ? SendStatus.dropped : SendStatus.taken;
    counters.countSent(consumed - dropped, answers[PortAnswer.bytes]!);
    if (dropped > 0) this.#countDrops(dropped);
    return result;
  }

  #settle(status: number, framedLength: number): SendStatus {
    if (status === PortStatus.taken) {
      this.#parts.counters.countSent(1, framedLength - this.headerLength);
    } else if (status === PortStatus.dropped) {
      this.#countDrops(1);
    }
    return STATUS[status as keyof typeof STATUS];
  }

  #dropUnseen(count: number): SendStatus {
    this.#parts.counters.countSendDrops(count);
    return SendStatus.dropped;
  }

  #countDrops(count: number): void {
    const { answers, counters, onGone } = this.#parts;
    counters.countSendDrops(count);
    const error = errnoError(answers[PortAnswer.errno]!, "write");
    if (FATAL.has(codeOf(error))) onGone(error);
  }
}
