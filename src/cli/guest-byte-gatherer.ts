/**
 * Turns v86's one call a byte into one call for all that came in a turn of the event loop.
 */

const INITIAL_CAPACITY_BYTES = 256;
/** Passed on at once when this much has come, so that a flood within one turn does not pile up. */
const LARGEST_PIECE_BYTES = 16 * 1024;

/** Collects bytes and hands them on by `setImmediate`, or when {@link flush} is called. */
export class ByteGatherer {
  readonly #onBytes: (bytes: Uint8Array) => void;
  #buffer = new Uint8Array(INITIAL_CAPACITY_BYTES);
  #length = 0;
  #isScheduled = false;

  /** @param onBytes is given bytes that are its to keep */
  constructor(onBytes: (bytes: Uint8Array) => void) {
    this.#onBytes = onBytes;
  }

  push(byte: number): void {
    if (this.#length === this.#buffer.length) this.#grow();
    this.#buffer[this.#length++] = byte;
    if (this.#length >= LARGEST_PIECE_BYTES) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => {
        this.#isScheduled = false;
        this.flush();
      });
    }
  }

  /** Hands on what there is, now. */
  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    this.#onBytes(bytes);
  }

  #grow(): void {
    const larger = new Uint8Array(this.#buffer.length * 2);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
