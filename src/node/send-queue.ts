/**
 * The sending half of a byte stream: gathers what the stack sends and writes it once a turn.
 *
 * Bytes are copied into a queue; at the end of the turn (`NodeLoop.flushSoon`) all of them go out in one write. While that is
 * under way nothing else is written: what comes meanwhile makes up the next write. So a guest's many segments cost few
 * system calls, and a reader that stands still costs its bytes, not an object for each segment.
 */
import type { Writable } from "node:stream";
import { ByteQueue, type Chunk } from "../byte-queue.js";
import type { Flushable, NodeLoop } from "./node-loop.js";

/** Bytes taken and not yet with the kernel, at most: 192 KiB. With what is received it keeps to the contract's bound. */
const SEND_BYTES = 192 * 1024;

/** Whose bytes they are. */
export interface SendQueueOwner {
  /** Whether writing is possible now; if it becomes so later, the owner calls `flushSoon`. */
  readonly mayWrite: boolean;
  /** There is room again for a good part of what the queue holds. */
  onRoom(): void;
  /** Everything that was taken is with the kernel: the time for FIN, or for closing. */
  onAllWritten(): void;
}

export class SendQueue implements Flushable {
  readonly #loop: NodeLoop;
  readonly #target: Writable;
  readonly #owner: SendQueueOwner;
  readonly #queued: ByteQueue;
  /** Bytes of the write under way; its chunks are given back when it is through. */
  #writingBytes = 0;
  #flushQueued = false;

  constructor(loop: NodeLoop, target: Writable, owner: SendQueueOwner) {
    this.#loop = loop;
    this.#target = target;
    this.#owner = owner;
    this.#queued = new ByteQueue(loop.pool);
  }

  /** Bytes taken that the kernel does not have yet. */
  get length(): number {
    return this.#queued.length + this.#writingBytes;
  }

  /** Takes as much of both pieces as there is room for: the number of bytes, 0 where there is none. */
  push(first: Uint8Array, second: Uint8Array | undefined): number {
    const room = Math.max(SEND_BYTES - this.length, 0);
    const ofFirst = Math.min(first.length, room);
    this.#queued.push(first, 0, ofFirst);
    const ofSecond = second ? Math.min(second.length, room - ofFirst) : 0;
    if (second) this.#queued.push(second, 0, ofSecond);
    if (ofFirst + ofSecond > 0) this.flushSoon();
    return ofFirst + ofSecond;
  }

  /** Forgets what is queued; a write under way is not undone. */
  clear(): void {
    this.#queued.clear();
  }

  /** Writes at the end of the turn, or tells the owner that all is written. */
  flushSoon(): void {
    if (this.#flushQueued || this.#writingBytes > 0) return;
    this.#flushQueued = true;
    this.#loop.flushSoon(this);
  }

  flush(): void {
    this.#flushQueued = false;
    if (this.#writingBytes > 0 || !this.#owner.mayWrite) return;
    const { length } = this.#queued;
    const chain = this.#queued.takeAll();
    if (chain) {
      this.#writingBytes = length;
      this.#write(chain);
    } else {
      this.#owner.onAllWritten();
    }
  }

  #write(chain: Chunk): void {
    const target = this.#target;
    if (!chain.next) {
      // A few bytes, mostly: without cork there is one buffer less on their way.
      const bytes = chain.bytes.subarray(chain.start, chain.end);
      target.write(bytes, (error) => this.#onWritten(chain, error));
      return;
    }
    target.cork();
    for (let chunk: Chunk | undefined = chain; chunk; chunk = chunk.next) {
      const bytes = chunk.bytes.subarray(chunk.start, chunk.end);
      if (chunk.next) target.write(bytes);
      else target.write(bytes, (error) => this.#onWritten(chain, error));
    }
    target.uncork();
  }

  #onWritten(chain: Chunk, error: Error | null | undefined): void {
    this.#writingBytes = 0;
    // After a failure the system may still look at the chunks: they go to the garbage collector, not to the pool.
    if (error) return;
    this.#loop.pool.give(chain);
    this.flush();
    if (this.length <= SEND_BYTES / 2) this.#owner.onRoom();
  }
}
