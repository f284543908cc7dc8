/**
 * Queues of bytes that cost nothing while they are empty.
 *
 * A stream holds bytes in both directions: received ones that the stack has not taken, and taken ones that the kernel has
 * not. Both queues are chains of chunks of one size out of a common pool. Two things follow that keeping Node's own
 * buffers would not give: many tiny segments cost their bytes and not an object each (a peer that sends single bytes to a
 * reader that sleeps would else cost a hundred times what was counted), and the steady state allocates no memory.
 */

/** Size of a chunk: 16 KiB. Smaller wastes less on a stream that holds a few bytes, larger needs fewer copies and writes. */
export const CHUNK_BYTES = 16 * 1024;

/** Chunks that a pool keeps for later: 4 MiB in all; what is freed beyond is left to the garbage collector. */
const MAX_POOLED_CHUNKS = 256;

/** One link of a chain: the bytes from `start` up to `end` are queued. */
export interface Chunk {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
  next: Chunk | undefined;
}

/** Chunks not in use. One a host network. */
export class ChunkPool {
  #free: Chunk | undefined;
  #freeCount = 0;

  take(): Chunk {
    const chunk = this.#free;
    if (!chunk) {
      return { bytes: new Uint8Array(CHUNK_BYTES), start: 0, end: 0, next: undefined };
    }
    this.#free = chunk.next;
    this.#freeCount -= 1;
    chunk.next = undefined;
    return chunk;
  }

  /** Takes back a whole chain. Nobody may look at its bytes any more. */
  give(chain: Chunk | undefined): void {
    for (let chunk = chain; chunk;) {
      const next = chunk.next;
      if (this.#freeCount >= MAX_POOLED_CHUNKS) return;
      chunk.start = 0;
      chunk.end = 0;
      chunk.next = this.#free;
      this.#free = chunk;
      this.#freeCount += 1;
      chunk = next;
    }
  }
}

/** First in, first out. */
export class ByteQueue {
  readonly #pool: ChunkPool;
  #head: Chunk | undefined;
  #tail: Chunk | undefined;
  #length = 0;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Bytes queued. */
  get length(): number {
    return this.#length;
  }

  /** Copies `source[start, end)` to the end of the queue. */
  push(source: Uint8Array, start: number, end: number): void {
    let from = start;
    while (from < end) {
      const tail = this.#tailWithRoom();
      const count = Math.min(CHUNK_BYTES - tail.end, end - from);
      tail.bytes.set(viewOf(source, from, from + count), tail.end);
      tail.end += count;
      from += count;
    }
    this.#length += end - start;
  }

  /** Moves as much as there is, and fits, to the front of `target`. Answers how many bytes that was. */
  read(target: Uint8Array): number {
    let written = 0;
    let head = this.#head;
    while (head && written < target.length) {
      const count = Math.min(head.end - head.start, target.length - written);
      target.set(viewOf(head.bytes, head.start, head.start + count), written);
      head.start += count;
      written += count;
      if (head.start < head.end) break;
      const { next } = head;
      head.next = undefined;
      this.#pool.give(head);
      head = next;
    }
    this.#head = head;
    if (!head) this.#tail = undefined;
    this.#length -= written;
    return written;
  }

  /** Empties the queue and hands over its chain, which the caller gives back to the pool. */
  takeAll(): Chunk | undefined {
    const chain = this.#head;
    this.#head = undefined;
    this.#tail = undefined;
    this.#length = 0;
    return chain;
  }

  /** Forgets what is queued. */
  clear(): void {
    this.#pool.give(this.takeAll());
  }

  #tailWithRoom(): Chunk {
    if (this.#tail && this.#tail.end < CHUNK_BYTES) return this.#tail;
    const chunk = this.#pool.take();
    if (this.#tail) this.#tail.next = chunk;
    else this.#head = chunk;
    this.#tail = chunk;
    return chunk;
  }
}

/** `bytes[start, end)`; the array itself where that is all of it, which saves an object. */
function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
}
