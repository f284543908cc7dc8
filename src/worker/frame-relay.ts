/**
 * Frames in the worker: from the page's parcels to the stack, from the stack's batches to parcels; see serve-stack.ts for what happens when
 * either is slow.
 */
import { SendStatus, type FrameBatch, type HeaderLength } from "../backend.js";
import type { SlirpBackend } from "../slirp-backend.js";
import { Agreement } from "./agreement.js";
import { ParcelKind, ParcelReader, ParcelWord, wordsOf } from "./parcel.js";
import { ParcelSender } from "./parcel-sender.js";

const MEMORY_PAGE_BYTES = 65_536;

/** A change of header or features that waits for the frames before it. */
interface CapabilityChange {
  readonly features: bigint;
  readonly header: HeaderLength;
}

/** See the top of the file. */
export class FrameRelay {
  readonly #sender: ParcelSender;
  readonly #reader = new ParcelReader();
  readonly #counters = new Uint32Array(3);
  /** What the page sent and the stack has not taken, oldest first; the reader is in the first. */
  readonly #waiting: (ArrayBuffer | CapabilityChange)[] = [];
  #stack: SlirpBackend | undefined;
  readonly #agreement = new Agreement();
  #isReaderOpen = false;
  /** The stack was told to keep its frames. */
  #isHolding = false;

  constructor(port: MessagePort) {
    this.#sender = new ParcelSender(port, (words) => {
      const [fromGuest = 0, toGuest = 0, memory = 0] = this.counters();
      words[ParcelWord.agreement] = this.#agreement.number;
      words[ParcelWord.droppedFromGuest] = fromGuest;
      words[ParcelWord.droppedToGuest] = toGuest;
      words[ParcelWord.memoryPages] = memory;
    });
  }

  /** The stack is there. */
  attach(stack: SlirpBackend, onError: (error: Error) => void): void {
    this.#stack = stack;
    stack.callbacks = {
      onFrames: (batch) => {
        this.#toPage(batch);
      },
      onWritable: () => {
        this.#toStack();
      },
      onError,
    };
    stack.enableReceive();
  }

  /** A parcel has come: frames, or an empty one of ours. */
  takeParcel(buffer: ArrayBuffer): void {
    if (wordsOf(buffer)[ParcelWord.kind] === ParcelKind.returned) {
      this.#sender.takeBack(buffer);
      this.#resume();
      return;
    }
    this.#waiting.push(buffer);
    if (this.#waiting.length === 1) this.#toStack();
  }

  /** Behind the frames that came before. */
  setCapabilities(features: bigint, header: HeaderLength): void {
    this.#waiting.push({ features, header });
    if (this.#waiting.length === 1) this.#toStack();
  }

  /** Dropped from the guest, dropped towards it, pages of memory: as of now, or of the stack's end. */
  counters(): Uint32Array<ArrayBuffer> {
    const stack = this.#stack;
    if (!stack) return this.#counters;
    try {
      const { droppedFromGuest, droppedToGuest } = stack.statistics();
      this.#counters[0] = droppedFromGuest;
      this.#counters[1] = droppedToGuest;
      this.#counters[2] = stack.memoryBytes / MEMORY_PAGE_BYTES;
    } catch {
      // Closed: what was counted last stays.
    }
    return this.#counters;
  }

  #toStack(): void {
    const stack = this.#stack;
    for (let next = this.#waiting[0]; next && stack; next = this.#waiting[0]) {
      if (!(next instanceof ArrayBuffer)) {
        stack.setCapabilities(next.features, next.header);
        this.#agreement.change(next.features, next.header);
      } else if (!this.#sendParcel(stack, next)) {
        return;
      }
      this.#waiting.shift();
    }
  }

  /** False where the stack has no room for all of it. */
  #sendParcel(stack: SlirpBackend, buffer: ArrayBuffer): boolean {
    const reader = this.#reader;
    if (!this.#isReaderOpen) {
      reader.open(buffer);
      this.#isReaderOpen = true;
    }
    const { status, consumed } = stack.sendBatch(reader.takeRest());
    if (status === SendStatus.mustWait) {
      reader.skip(consumed);
      return false;
    }
    this.#isReaderOpen = false;
    this.#sender.giveBack(buffer);
    return true;
  }

  #toPage(batch: FrameBatch): void {
    const sender = this.#sender;
    for (let i = 0; i < batch.count;) {
      // The batch is gone when this returns: for what is left of it there is always a buffer.
      i += sender.putRun(batch, i, batch.count, true);
    }
    sender.flush();
    if (sender.hasRoom || this.#isHolding) return;
    this.#isHolding = true;
    this.#stack?.disableReceive();
  }

  #resume(): void {
    if (!this.#isHolding || !this.#sender.hasRoom) return;
    this.#isHolding = false;
    try {
      this.#stack?.enableReceive();
    } catch {
      // The stack was closed meanwhile.
    }
  }
}
