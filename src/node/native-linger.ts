/**
 * A stream that was closed while data that it sent was still with us. The kernel throws that away where something received was not read, or
 * where the other side sends more (RFC 2525 2.17). So the socket stays: it says FIN, what it receives is thrown away, and it is closed when
 * the other side has everything, or has taken nothing for the linger limit.
 */
import type { NativePoller, NativeSocket } from "./native-poller.js";

/** How often is looked at what the other side has, milliseconds: the kernel does not tell. */
const LOOK_INTERVAL_MS = 100;

/** Reads of one look, each of the loop's buffer: then others have their turn. */
const READS_A_LOOK = 16;

export class NativeLinger implements NativeSocket {
  readonly id: number;
  readonly #poller: NativePoller;
  readonly #lingerMs: number;
  readonly #timer: NodeJS.Timeout;
  #unsent = Infinity;
  #idleMs = 0;

  /** Takes over the socket `id`; the poller brings its events here. */
  constructor(poller: NativePoller, id: number, lingerMs: number) {
    this.id = id;
    this.#poller = poller;
    this.#lingerMs = lingerMs;
    poller.calls.shutdownWrite(id);
    // The poller holds the process, where it is to be held.
    this.#timer = setInterval(() => {
      this.#look(LOOK_INTERVAL_MS);
    }, LOOK_INTERVAL_MS).unref();
  }

  onEvents(): void {
    this.#look(0);
  }

  /** It ends in good order as it is. */
  close(): void {
    return;
  }

  abort(): void {
    this.#poller.calls.reset(this.id);
    this.#end();
  }

  #look(passedMs: number): void {
    const { calls, loop } = this.#poller;
    for (let i = 0; i < READS_A_LOOK && calls.receive(this.id, loop.readBuffer) > 0; i++) continue;
    const unsent = calls.finish(this.id, true);
    if (unsent <= 0) {
      this.#end();
      return;
    }
    this.#idleMs = unsent < this.#unsent ? 0 : this.#idleMs + passedMs;
    this.#unsent = unsent;
    if (this.#idleMs >= this.#lingerMs) this.abort();
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#poller.remove(this.id);
  }
}
