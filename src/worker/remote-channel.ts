/**
 * A guest channel whose stack is in a worker. What is sent goes there at once, as far as the credit lasts; the credit comes back as the
 * guest takes it.
 */
import type { IpAddress } from "../address.js";
import type { GuestChannel, GuestChannelOptions } from "../slirp-backend.js";

/** Bytes that may be under way or wait in the worker. */
const CHANNEL_CREDIT_BYTES = 64 * 1024;

/** See the top of the file. */
export class RemoteChannel implements GuestChannel {
  readonly address: IpAddress;
  readonly port: number;
  readonly #options: GuestChannelOptions;
  readonly #post: (bytes: Uint8Array) => void;
  #credit = CHANNEL_CREDIT_BYTES;
  #waits = false;

  constructor(options: GuestChannelOptions, post: (bytes: Uint8Array) => void) {
    this.address = options.address;
    this.port = options.port;
    this.#options = options;
    this.#post = post;
  }

  send(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.#credit);
    if (taken < bytes.length) this.#waits = true;
    // Cut out: a view would take its whole memory along.
    this.#post(bytes.slice(0, taken));
    this.#credit -= taken;
    return taken;
  }

  /** The guest has sent something. */
  takeData(bytes: Uint8Array): void {
    this.#options.onData(bytes);
  }

  /** The guest has taken something. */
  takeCredit(bytes: number): void {
    this.#credit += bytes;
    if (!this.#waits) return;
    this.#waits = false;
    this.#options.onWritable?.();
  }
}
