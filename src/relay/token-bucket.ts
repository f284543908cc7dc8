/**
 * A rate, enforced by making who exceeds it wait: nothing is lost. A second's worth may be taken at once; what is taken beyond is a debt,
 * and answered with the time until it is paid.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #countedMs: number;

  /** `perSecond` may be Infinity: nobody ever waits. `nowMs`: a monotonic clock. */
  constructor(perSecond: number, nowMs: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#nowMs = nowMs;
    this.#tokens = perSecond;
    this.#countedMs = nowMs();
  }

  /** Takes so many. Answers how long to wait before the next are taken, milliseconds; 0: not at all. */
  take(count: number): number {
    if (this.#perSecond === Infinity) return 0;
    const nowMs = this.#nowMs();
    const more = ((nowMs - this.#countedMs) / 1000) * this.#perSecond;
    this.#countedMs = nowMs;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + more) - count;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000;
  }

  /** Takes one if it is there. */
  tryTake(): boolean {
    if (this.take(0) > 0 || this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
