/**
 * What the sockets of one host network share: the process's event loop, and what is held open on it.
 *
 * - Everything that is open is known here, so that `ref`, `unref` and `close` reach it: sockets and listeners ("resources"),
 *   timers and pending turns.
 * - Streams that were sent on ask for a flush; one `process.nextTick` flushes them all, after the stack's turn and before
 *   Node goes on. That makes one write a stream and turn, however many segments the guest sent.
 * - Buffers that nobody needs for longer than a call (one for reading, one for datagrams) and the pool of chunks are here.
 */
import { performance } from "node:perf_hooks";
import type { HostTimer } from "../host-network.js";
import { ChunkPool } from "../byte-queue.js";

/** Bytes of one read of a socket: what libuv itself reads at once. */
const READ_BYTES = 64 * 1024;

/** setTimeout's longest delay; it takes more for 1 ms. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Something that holds a handle of the event loop. */
export interface Resource {
  /** Whether it keeps the process alive. */
  setRef(hold: boolean): void;
  /** Ends in good order. */
  close(): void;
  /** Ends at once, whatever is lost by it. */
  abort(): void;
}

/** A stream with bytes to write. */
export interface Flushable {
  /** Bytes that wait. */
  readonly length: number;
  flush(): void;
}

/** What is no longer than this is somebody's question or answer rather than a part of a transfer. */
const SHORT_BYTES = 4096;

export class NodeLoop {
  readonly pool = new ChunkPool();
  /** Where outgoing connections are read into; its content is copied before the event handler returns. */
  readonly readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** Where a datagram stands while it is being sent; undefined after the system kept the last one. */
  datagramBuffer: Buffer | undefined;

  readonly #resources = new Set<Resource>();
  readonly #timers = new Set<LoopTimer>();
  readonly #turns = new Set<NodeJS.Immediate>();
  /** Entries up to the count are in use: an array that is emptied and filled again costs an allocation a batch. */
  readonly #batchTurns: (() => void)[] = [];
  #batchTurnCount = 0;
  #inBatch = false;
  #toFlush: Flushable[] = [];
  #held = true;
  #closing = false;
  #closed: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  /** Whether `close` was called: nothing new may be opened. */
  get closed(): boolean {
    return this.#closing;
  }

  /** Counts `resource` in until `remove`; it takes over whether the process is held. */
  add(resource: Resource): void {
    this.#resources.add(resource);
    if (!this.#held) resource.setRef(false);
  }

  /** The resource's handle is closed. */
  remove(resource: Resource): void {
    this.#resources.delete(resource);
    if (this.#resources.size === 0) this.#whenEmpty?.();
  }

  flushSoon(stream: Flushable): void {
    this.#toFlush.push(stream);
    if (this.#toFlush.length === 1) process.nextTick(this.#flushAll);
  }

  /**
   * Flushes the streams that have little to write now instead of after the turn. The kernel does the receiver's work for loopback, and
   * the guest's for its acknowledgement: a question that goes first is worked on meanwhile.
   */
  flushShort(): void {
    for (const stream of this.#toFlush) {
      if (stream.length > 0 && stream.length <= SHORT_BYTES) stream.flush();
    }
  }

  scheduleTurn(callback: () => void): void {
    if (this.closed) return;
    if (this.#inBatch) {
      this.#batchTurns[this.#batchTurnCount++] = callback;
      return;
    }
    const immediate = setImmediate(() => {
      this.#turns.delete(immediate);
      callback();
    });
    if (!this.#held) immediate.unref();
    this.#turns.add(immediate);
  }

  /** Many events are told one after the other: turns that are asked for from now on wait for `endBatch`. */
  beginBatch(): void {
    this.#inBatch = true;
  }

  endBatch(): void {
    this.#inBatch = false;
    const count = this.#batchTurnCount;
    this.#batchTurnCount = 0;
    for (let i = 0; i < count && !this.closed; i += 1) this.#batchTurns[i]!();
  }

  /** `keepAlive` false: the timer never holds the process. */
  setTimer(callback: () => void, delayMs: number, keepAlive: boolean): HostTimer {
    const done = () => this.#timers.delete(timer);
    const timer = new LoopTimer(callback, delayMs, { keepAlive, hold: this.#held }, done);
    if (this.closed) timer.cancel();
    else this.#timers.add(timer);
    return timer;
  }

  setRef(hold: boolean): void {
    this.#held = hold;
    for (const resource of this.#resources) resource.setRef(hold);
    for (const timer of this.#timers) timer.setRef(hold);
    for (const turn of this.#turns) {
      if (hold) turn.ref();
      else turn.unref();
    }
  }

  /** Closes everything; what is not through after `timeoutMs` is aborted. Fulfilled once the last handle is closed. */
  close(timeoutMs: number): Promise<void> {
    this.#closed ??= this.#closeAll(timeoutMs);
    return this.#closed;
  }

  async #closeAll(timeoutMs: number): Promise<void> {
    this.#closing = true;
    for (const timer of this.#timers) timer.cancel();
    for (const turn of this.#turns) clearImmediate(turn);
    this.#turns.clear();
    for (const resource of this.#resources) resource.close();
    if (this.#resources.size === 0) return;
    const empty = new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    const deadline = setTimeout(() => {
      for (const resource of this.#resources) resource.abort();
    }, timeoutMs);
    deadline.unref();
    await empty;
    clearTimeout(deadline);
  }

  readonly #flushAll = (): void => {
    const streams = this.#toFlush;
    this.#toFlush = [];
    for (const stream of streams) stream.flush();
  };
}

/** A timer that never comes early and knows delays beyond setTimeout's limit. */
class LoopTimer implements HostTimer {
  readonly #callback: () => void;
  readonly #dueMs: number;
  readonly #done: () => void;
  readonly #keepAlive: boolean;
  #timeout: NodeJS.Timeout;

  constructor(
    callback: () => void,
    delayMs: number,
    { keepAlive, hold }: { keepAlive: boolean; hold: boolean },
    done: () => void,
  ) {
    this.#callback = callback;
    this.#dueMs = performance.now() + delayMs;
    this.#keepAlive = keepAlive;
    this.#done = done;
    this.#timeout = this.#arm(delayMs, keepAlive && hold);
  }

  setRef(hold: boolean): void {
    if (hold && this.#keepAlive) this.#timeout.ref();
    else this.#timeout.unref();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    this.#done();
  }

  #arm(delayMs: number, hold: boolean): NodeJS.Timeout {
    const timeout = setTimeout(
      () => this.#fire(),
      Math.min(Math.ceil(Math.max(delayMs, 0)), MAX_DELAY_MS),
    );
    if (!hold) timeout.unref();
    return timeout;
  }

  #fire(): void {
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) {
      this.#timeout = this.#arm(leftMs, this.#timeout.hasRef());
      return;
    }
    this.#done();
    this.#callback();
  }
}
