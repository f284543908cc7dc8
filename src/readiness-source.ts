/**
 * What every host socket owes its `onReady`: edges, told once, never from within the stack's own call.
 *
 * An edge is owed from the start, and again after a call answered `-EAGAIN` (`owe`). The socket says what has become true
 * (`raise`); what is not owed is not told, so that a busy stream costs one call an edge and not one a chunk. `raise` is
 * called from events of Node only, which never happen inside a call of the stack; what is true before a listener is set is
 * kept and told in a microtask.
 */
import { Readiness, type ReadyListener } from "./host-network.js";

/** Told whenever they happen: nobody can say EAGAIN to an error. */
const ALWAYS_OWED = Readiness.error | Readiness.hangup;

export abstract class ReadinessSource {
  #listener: ReadyListener | undefined;
  #owed: number = Readiness.readable | Readiness.writable;
  #untold = 0;
  #silent = false;
  #pendingError = 0;

  get onReady(): ReadyListener | undefined {
    return this.#listener;
  }

  set onReady(listener: ReadyListener | undefined) {
    if (this.#silent) return;
    this.#listener = listener;
    if (listener && this.#untold !== 0) queueMicrotask(() => this.#tellUntold());
  }

  /** The pending error, which is cleared: see the contract. */
  takeError(): number {
    const error = this.#pendingError;
    this.#pendingError = 0;
    return error;
  }

  protected get pendingError(): number {
    return this.#pendingError;
  }

  /** Keeps `errno` for `takeError`; an error that nobody has taken yet stands. */
  protected keepError(errno: number): void {
    if (this.#pendingError === 0) this.#pendingError = errno;
  }

  /** A call has just answered `-EAGAIN` (or less than was asked for): say when it is worth another try. */
  protected owe(events: number): void {
    this.#owed |= events;
  }

  /** `events` (a {@link Readiness} mask) have become true. */
  protected raise(events: number): void {
    const due = events & (this.#owed | ALWAYS_OWED);
    if (due === 0 || this.#silent) return;
    this.#owed &= ~due;
    if (this.#listener) this.#listener(due);
    else this.#untold |= due;
  }

  /** The stack is done with this socket: nothing is told any more. */
  protected silence(): void {
    this.#silent = true;
    this.#listener = undefined;
  }

  #tellUntold(): void {
    const due = this.#untold;
    if (due === 0 || !this.#listener) return;
    this.#untold = 0;
    this.#listener(due);
  }
}
