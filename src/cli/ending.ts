/**
 * How a command is told to end before it is done: SIGINT, SIGTERM, a time that ran out, a reader of its output that is gone.
 * The first gives it the chance to clean up, through an AbortSignal; a second signal of the system ends the process at once.
 */
import { EndedEarly, ExitStatus, statusOfSignal } from "./exit-status.js";

const SIGNALS = ["SIGINT", "SIGTERM"] as const satisfies readonly NodeJS.Signals[];

/** Watches for what ends a command. Dispose of it when the command is done. */
export class Ending {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.signal.aborted) process.exit(statusOfSignal(signal));
    this.end(new EndedEarly(`ended by ${signal}`, statusOfSignal(signal)));
  };
  /** Standard output is a pipe that nobody reads any more; as if SIGPIPE had come. */
  readonly #onOutputError = (error: NodeJS.ErrnoException): void => {
    const isGone = error.code === "EPIPE";
    const status = isGone ? statusOfSignal("SIGPIPE") : ExitStatus.failure;
    const what = `standard output cannot be written to: ${error.message}`;
    this.end(new EndedEarly(what, status, { isQuiet: isGone }));
  };

  constructor(options: { timeoutMs?: number | undefined } = {}) {
    const { timeoutMs } = options;
    for (const name of SIGNALS) process.on(name, this.#onSignal);
    process.stdout.on("error", this.#onOutputError);
    if (timeoutMs === undefined) return;
    this.#timer = setTimeout(() => {
      const what = `not done within ${String(timeoutMs / 1000)} s`;
      this.end(new EndedEarly(what, ExitStatus.timeout));
    }, timeoutMs);
  }

  /** Aborted when the command is to end; its reason is an EndedEarly or what went wrong. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the command. The first reason counts. */
  readonly end = (reason: Error): void => {
    this.#controller.abort(reason);
  };

  /** Fulfilled when the command is to end. */
  async wait(): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.signal.addEventListener(
        "abort",
        () => {
          resolve();
        },
        { once: true },
      );
    });
  }

  /** Signals are the system's again. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const name of SIGNALS) process.off(name, this.#onSignal);
  }
}
