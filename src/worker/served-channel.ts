/**
 * A guest channel in the worker: what the page has sent waits here until the guest takes it. The page's credit bounds it.
 */
import type { GuestChannel } from "../slirp-backend.js";

/** See the top of the file. */
export class ServedChannel {
  channel: GuestChannel | undefined;
  readonly #onTaken: (bytes: number) => void;
  readonly #waiting: Uint8Array[] = [];

  /** @param onTaken told how many bytes the guest has taken. */
  constructor(onTaken: (bytes: number) => void) {
    this.#onTaken = onTaken;
  }

  /** The page has sent something. */
  take(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.sendWaiting();
  }

  /** There may be room. */
  sendWaiting(): void {
    let sent = 0;
    while (this.channel) {
      const first = this.#waiting[0];
      if (!first) break;
      const taken = this.channel.send(first);
      sent += taken;
      if (taken < first.length) {
        this.#waiting[0] = first.subarray(taken);
        break;
      }
      this.#waiting.shift();
    }
    if (sent > 0) this.#onTaken(sent);
  }
}
