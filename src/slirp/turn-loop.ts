/**
 * When the stack has its turns: soon after frames or host events, and when a timer of its own is due. Without any of these there is
 * no timer, and nothing runs.
 *
 * Frames run a turn in a microtask: whatever a NIC sends in one go is one turn, without waiting for the event loop. Host events
 * wait for the end of the event loop's iteration (HostNetwork.scheduleTurn), so that one turn serves all sockets that
 * became ready in it.
 */
import type { HostNetwork, HostTimer } from "../host-network.js";

/** What a turn answers: when (HostNetwork.nowMs) the next is due though nothing happens. -1 for never. */
export interface TurnResult {
  dueMs: number;
  /** The same for router advertisements, which keep no process alive. */
  advertisementDueMs: number;
  /** There is more to do at once. */
  hasMore: boolean;
}

/** Timers a little early are worth nothing: the turn would find nothing due. */
const EARLIEST_TIMER_MS = 1;

const FULFILLED = Promise.resolve();

/** See the top of the file. */
export class TurnLoop {
  private microtaskRequested = false;
  private turnScheduled = false;
  private stopped = false;
  private timer: HostTimer | undefined;
  private timerDueMs = Infinity;
  private advertisementTimer: HostTimer | undefined;
  private advertisementDueMs = Infinity;

  /** @param runTurn runs a turn at the given time; it must not throw. */
  constructor(
    private readonly network: HostNetwork,
    private readonly runTurn: (nowMs: number) => TurnResult,
  ) {}

  /** A turn as soon as who calls has returned. */
  requestSoon(): void {
    if (this.microtaskRequested || this.stopped) return;
    this.microtaskRequested = true;
    // A microtask without the bookkeeping that Node's queueMicrotask has for each.
    void FULFILLED.then(this.runMicrotask);
  }

  /** A turn after the events of this iteration of the event loop. */
  requestAfterEvents = (): void => {
    if (this.turnScheduled || this.stopped) return;
    this.turnScheduled = true;
    this.network.scheduleTurn(this.runScheduled);
  };

  /** A turn at once. */
  runNow(): void {
    if (this.stopped) return;
    const result = this.runTurn(this.network.nowMs());
    if (this.wasStopped()) return;
    this.setTimer(result.dueMs);
    this.setAdvertisementTimer(result.advertisementDueMs);
    if (result.hasMore) this.requestAfterEvents();
  }

  /** No turn comes any more. */
  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.advertisementTimer?.cancel();
    this.timer = this.advertisementTimer = undefined;
  }

  /** `stopped`, read again: a turn may have ended the stack. */
  private wasStopped(): boolean {
    return this.stopped;
  }

  private readonly runMicrotask = (): void => {
    this.microtaskRequested = false;
    this.runNow();
  };

  private readonly runScheduled = (): void => {
    this.turnScheduled = false;
    this.runNow();
  };

  /** A timer that is set for earlier stays: when it fires, its turn finds out what is due next. */
  private setTimer(dueMs: number): void {
    if (dueMs < 0) {
      this.timer?.cancel();
      this.timer = undefined;
      this.timerDueMs = Infinity;
    } else if (dueMs < this.timerDueMs) {
      this.timer?.cancel();
      this.timerDueMs = dueMs;
      this.timer = this.network.setTimer(this.onTimer, this.delayTo(dueMs));
    }
  }

  private readonly onTimer = (): void => {
    this.timer = undefined;
    this.timerDueMs = Infinity;
    this.runNow();
  };

  private setAdvertisementTimer(dueMs: number): void {
    const wanted = dueMs < 0 ? Infinity : dueMs;
    if (wanted === this.advertisementDueMs) return;
    this.advertisementTimer?.cancel();
    this.advertisementDueMs = wanted;
    this.advertisementTimer =
      wanted === Infinity
        ? undefined
        : this.network.setTimer(this.onAdvertisementTimer, this.delayTo(wanted), false);
  }

  private readonly onAdvertisementTimer = (): void => {
    this.advertisementTimer = undefined;
    this.advertisementDueMs = Infinity;
    this.runNow();
  };

  private delayTo(dueMs: number): number {
    return Math.max(Math.ceil(dueMs - this.network.nowMs()), EARLIEST_TIMER_MS);
  }
}
