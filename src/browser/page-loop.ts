/**
 * The event loop of a page or worker, as a host network needs it: turns, timers, and an end.
 *
 * Turns come by a MessageChannel: it fires behind the events that are pending, and is not throttled in a hidden page, where
 * `setTimeout` comes once a second. Timers are `setTimeout`'s: in a hidden page TCP's half-second ticks come late, which
 * costs time after a loss and nothing else.
 */
import type { HostTimer } from "../host-network.js";
import { ChunkPool } from "../byte-queue.js";

/** setTimeout's longest delay; it takes more for 0. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** A port as Node has it: it can be kept from holding the process. */
interface RefPort {
  ref?(): void;
  unref?(): void;
}

interface TimerEntry {
  readonly callback: () => void;
  readonly dueMs: number;
  handle: ReturnType<typeof setTimeout> | undefined;
}

/** See the top of the file. */
export class PageLoop {
  readonly pool = new ChunkPool();
  readonly #timers = new Set<TimerEntry>();
  #channel: MessageChannel | undefined;
  #turns: (() => void)[] = [];
  #closed = false;

  /** `close` was called: nothing new may be opened. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Calls back once, behind the events that are pending. */
  scheduleTurn(callback: () => void): void {
    if (this.#closed) return;
    this.#turns.push(callback);
    if (this.#turns.length > 1) return;
    const { port1, port2 } = this.#openChannel();
    (port1 as RefPort).ref?.();
    port2.postMessage(0);
  }

  /** Calls back once after `delayMs`, never early. */
  setTimer(callback: () => void, delayMs: number): HostTimer {
    const dueMs = performance.now() + delayMs;
    const entry: TimerEntry = { callback, dueMs, handle: undefined };
    if (!this.#closed) {
      this.#timers.add(entry);
      this.#arm(entry, delayMs);
    }
    return {
      cancel: () => {
        clearTimeout(entry.handle);
        this.#timers.delete(entry);
      },
    };
  }

  /** Cancels everything. */
  close(): void {
    this.#closed = true;
    this.#turns = [];
    for (const { handle } of this.#timers) clearTimeout(handle);
    this.#timers.clear();
    this.#channel?.port1.close();
  }

  #openChannel(): MessageChannel {
    if (!this.#channel) {
      this.#channel = new MessageChannel();
      this.#channel.port1.onmessage = () => {
        (this.#channel?.port1 as RefPort).unref?.();
        const turns = this.#turns;
        this.#turns = [];
        for (const turn of turns) turn();
      };
    }
    return this.#channel;
  }

  #arm(entry: TimerEntry, delayMs: number): void {
    const delay = Math.min(Math.ceil(Math.max(delayMs, 0)), MAX_DELAY_MS);
    entry.handle = setTimeout(() => {
      const leftMs = entry.dueMs - performance.now();
      if (leftMs > 0) {
        this.#arm(entry, leftMs);
        return;
      }
      this.#timers.delete(entry);
      entry.callback();
    }, delay);
  }
}
