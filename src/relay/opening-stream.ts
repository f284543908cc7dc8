/** A Wisp stream whose target is being looked up: what the client sends meanwhile is kept, as far as its credits go. */
import type { RelayStream, StreamContext } from "./tcp-stream.js";

/** See the top of the file. */
export class OpeningStream implements RelayStream {
  readonly id: number;
  readonly #context: StreamContext;
  readonly #waiting: Buffer[] = [];
  #granted = 0;

  constructor(id: number, context: StreamContext) {
    this.id = id;
    this.#context = context;
  }

  /** The client has sent more than it may. */
  get isOverfull(): boolean {
    return this.#waiting.length > this.#context.limits.creditPackets;
  }

  receive(payload: Buffer): void {
    if (!this.isOverfull) this.#waiting.push(payload);
  }

  grant(bytes: number): void {
    this.#granted += bytes;
  }

  endByClient(): void {
    this.#context.onGone(this.id);
  }

  abandon(): void {
    this.#context.onGone(this.id);
  }

  /** Gives all of it to the stream that has been opened. */
  handOver(stream: RelayStream): void {
    if (this.#granted > 0) stream.grant(this.#granted);
    for (const payload of this.#waiting) stream.receive(payload);
  }
}
