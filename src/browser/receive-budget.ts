/**
 * What all streams of a network may hold together, received and not taken by their guests.
 *
 * Wisp has no flow control from relay to client: where the relay does not speak our stream control extension, a guest that reads more
 * slowly than its server sends makes memory grow. Above the limit the WebSocket is not read, where that is possible (`ws` in Node);
 * a browser's cannot be stopped, and the stream that holds most is reset: one broken download is better than a page that ends.
 */

/** A stream that holds bytes. */
export interface Holder {
  readonly heldBytes: number;
  /** It is the one to go. */
  giveUp(): void;
}

/** What is known of the WebSocket. */
export interface BudgetedReader {
  /** Stops or goes on reading; false where that cannot be done. */
  setReading(reading: boolean): boolean;
}

/** See the top of the file. */
export class ReceiveBudget {
  readonly #limitBytes: number;
  readonly #holders = new Set<Holder>();
  readonly #reader: () => BudgetedReader | undefined;
  #heldBytes = 0;
  #stopped: BudgetedReader | undefined;

  constructor(limitBytes: number, reader: () => BudgetedReader | undefined) {
    this.#limitBytes = limitBytes;
    this.#reader = reader;
  }

  /** `holder` has received bytes that it keeps. */
  kept(holder: Holder, bytes: number): void {
    this.#heldBytes += bytes;
    this.#holders.add(holder);
    if (this.#heldBytes <= this.#limitBytes || this.#stopped) return;
    const reader = this.#reader();
    if (reader?.setReading(false)) this.#stopped = reader;
    else this.#largest()?.giveUp();
  }

  /** Bytes were taken, or forgotten. */
  took(bytes: number): void {
    this.#heldBytes -= bytes;
    if (!this.#stopped || this.#heldBytes > this.#limitBytes / 2) return;
    this.#stopped.setReading(true);
    this.#stopped = undefined;
  }

  #largest(): Holder | undefined {
    let largest: Holder | undefined;
    for (const holder of this.#holders) {
      if (holder.heldBytes === 0) this.#holders.delete(holder);
      else if (!largest || holder.heldBytes > largest.heldBytes) largest = holder;
    }
    return largest;
  }
}
