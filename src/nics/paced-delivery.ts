/**
 * Gives a backend's frames to a card that can be full, without losing them.
 *
 * Frames go straight through as long as the card has room. When it has none, the rest of the batch is kept here, receiving
 * is turned off so that the backend keeps what comes after it, and the card is looked at again: soon, less and less often,
 * and soon again when `poke` says that something happened. While it stays full it is nudged, since a guest may have overlooked
 * what lies in it. A card that takes nothing for a second belongs to a guest that is
 * stopped or hung: what is kept here is dropped, so that no timer runs for it.
 */
import type { FrameBatch, NetBackend } from "../backend.js";
import { FrameQueue } from "../frames/frame-queue.js";

/** What becomes of a frame that is handed to a card now. */
export const Room = {
  /** The card takes it. */
  free: "free",
  /** Not now: the guest has to take frames first. */
  full: "full",
  /** The card is off or not set up, or the frame does not fit at all: it will never be taken. */
  none: "none",
} as const;

/** One of the values of {@link Room}. */
export type Room = (typeof Room)[keyof typeof Room];

/** Where frames are given to. */
export interface PacedCard {
  /** Called before frames are given, once for all that are given together. */
  prepare?(): void;
  roomFor(length: number): Room;
  /** The card was full for a while: reminds the guest of what lies in it. */
  nudge(): void;
  /** A frame to take within the call. Unless `writable`, it must not be written to. */
  give(frame: Uint8Array, writable: boolean): void;
}

/** A card that takes no frame for this long loses those that are kept. */
const STALL_LIMIT_MS = 1000;
/** How long until a full card is looked at again: at first, and at most. */
const RETRY_MS = { first: 1, last: 64 } as const;
/** A card that had no room for so long is nudged: a guest that is at work takes frames sooner. */
const NUDGE_FROM_MS = 16;
/** What is kept of one batch. */
const HELD_LIMITS = { maxBytes: 1024 * 1024, maxFrames: 4096 } as const;
/** Longer than any frame. */
const SCRATCH_BYTES = 65_536 + 64;

/** See the top of the file. */
export class PacedDelivery {
  readonly #backend: NetBackend;
  readonly #card: PacedCard;
  /** Runs what a timer brings; may catch what the backend throws. */
  readonly #run: (act: () => void) => void;
  #held: FrameQueue | undefined;
  #scratch: Uint8Array | undefined;
  /** Set while frames are held: receiving is off then. */
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #retryMs: number = RETRY_MS.first;
  #stalledMs = 0;
  #dropped = 0;

  constructor(backend: NetBackend, card: PacedCard, run: (act: () => void) => void) {
    this.#backend = backend;
    this.#card = card;
    this.#run = run;
  }

  /** Frames that the card never got. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Frames that the backend pushed. */
  deliver(batch: FrameBatch): void {
    this.#card.prepare?.();
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offsets[i] ?? 0;
      const length = batch.lengths[i] ?? 0;
      const room = this.#card.roomFor(length);
      if (room === Room.full) {
        this.#hold(batch, i);
        return;
      }
      if (room === Room.none) this.#dropped++;
      else this.#card.give(batch.bytes.subarray(offset, offset + length), false);
    }
  }

  /**
   * Looks at a full card soon. Not now: this is called while the guest sends, in the middle of its driver, and a driver may
   * not be prepared for frames at that point.
   */
  poke(): void {
    if (this.#retryTimer === undefined || this.#retryMs === RETRY_MS.first) return;
    clearTimeout(this.#retryTimer);
    this.#retryMs = RETRY_MS.first;
    this.#retryLater();
  }

  /** Forgets what is kept. Receiving stays as it is. */
  stop(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#held?.clear();
  }

  #hold(batch: FrameBatch, first: number): void {
    this.#held ??= new FrameQueue(HELD_LIMITS);
    for (let i = first; i < batch.count; i++) {
      if (!this.#held.push(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0)) {
        this.#dropped++;
      }
    }
    this.#backend.disableReceive();
    this.#retryMs = RETRY_MS.first;
    this.#stalledMs = 0;
    this.#retryLater();
  }

  #retryLater(): void {
    const delayMs = this.#retryMs;
    this.#retryTimer = setTimeout(() => {
      this.#stalledMs += delayMs;
      this.#retryMs = Math.min(2 * delayMs, RETRY_MS.last);
      this.#run(() => {
        this.#deliverHeld();
      });
    }, delayMs);
  }

  /** What is held here goes first, then what the backend keeps. Then frames are pushed again. */
  #deliverHeld(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    if (this.#giveWhileRoom() > 0) {
      this.#retryMs = RETRY_MS.first;
      this.#stalledMs = 0;
    } else if (this.#retryMs >= NUDGE_FROM_MS) {
      this.#card.nudge();
    }
    if (this.#nextLength() > 0) {
      if (this.#stalledMs < STALL_LIMIT_MS) {
        this.#retryLater();
        return;
      }
      this.#dropped += this.#held?.count ?? 0;
      this.#held?.clear();
    }
    this.#backend.enableReceive();
  }

  #nextLength(): number {
    return this.#held?.peek(0) || this.#backend.peek();
  }

  #giveWhileRoom(): number {
    this.#card.prepare?.();
    const scratch = (this.#scratch ??= new Uint8Array(SCRATCH_BYTES));
    for (let given = 0; ; given++) {
      const next = this.#nextLength();
      if (next === 0) return given;
      const room = this.#card.roomFor(next);
      if (room === Room.full) return given;
      const length = this.#held?.shift(scratch, 0) || this.#backend.receive(scratch);
      if (room === Room.none) this.#dropped++;
      else this.#card.give(scratch.subarray(0, length), true);
    }
  }
}
