/**
 * Output that begins with a mark which is not for people: it tells that a command has started.
 */

/** Passes on what comes behind the mark. Should something else come first, nothing is held back. */
export class MarkedOutput {
  readonly #mark: Uint8Array;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #onMark: () => void;
  /** Bytes of the mark that have come. */
  #matched = 0;

  constructor(mark: string, write: (bytes: Uint8Array) => void, onMark: () => void) {
    this.#mark = new TextEncoder().encode(mark);
    this.#write = write;
    this.#onMark = onMark;
  }

  /** Output, in pieces of any size. */
  push(bytes: Uint8Array): void {
    let used = 0;
    while (this.#matched < this.#mark.length && used < bytes.length) {
      if (bytes[used] !== this.#mark[this.#matched]) {
        const withheld = this.#mark.subarray(0, this.#matched);
        this.#matched = this.#mark.length;
        if (withheld.length > 0) this.#write(withheld);
        break;
      }
      used++;
      this.#matched++;
      if (this.#matched === this.#mark.length) this.#onMark();
    }
    if (used < bytes.length) this.#write(bytes.subarray(used));
  }
}
