/**
 * A clock that goes on when the test says so, with its timers: minutes of a stack's life in no time, and every timer in
 * view.
 */
import type { HostTimer } from "../../src/host-network.js";

/** A timer that is set. */
export interface SetTimer {
  readonly dueMs: number;
  readonly keepAlive: boolean;
}

interface Entry extends SetTimer {
  readonly callback: () => void;
}

/** See the top of the file. */
export class ManualClock {
  /** Begins at some time that is not 0, with a fraction, as a real clock does. */
  nowMs = 1_000_000.25;
  private readonly entries = new Set<Entry>();

  /** Timers that are set, soonest first. */
  timers(): SetTimer[] {
    return [...this.entries].sort((a, b) => a.dueMs - b.dueMs);
  }

  setTimer(callback: () => void, delayMs: number, keepAlive: boolean): HostTimer {
    const entry = { callback, dueMs: this.nowMs + Math.max(delayMs, 0), keepAlive };
    this.entries.add(entry);
    return { cancel: () => void this.entries.delete(entry) };
  }

  /**
   * Goes on by `durationMs`, firing what becomes due, in order. What a timer causes (turns, and events of real sockets that
   * are pending) happens before the clock goes on.
   */
  async advance(durationMs: number): Promise<void> {
    const end = this.nowMs + durationMs;
    for (;;) {
      await settleEvents();
      const next = [...this.entries].sort((a, b) => a.dueMs - b.dueMs)[0];
      if (!next || next.dueMs > end) break;
      this.entries.delete(next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.callback();
    }
    this.nowMs = end;
    await settleEvents();
  }
}

/** Lets microtasks, turns and the events that are pending happen. */
export async function settleEvents(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
