/**
 * The host's side of a connection to the guest that no socket of the host stands behind: a stream in memory.
 *
 * libslirp uses it as it uses a host network's streams (HostStream); at the other end stands guest-socket.ts. It calls `send`
 * with what the guest sent and `receive` for what the guest is to get. Both queues are bounded, so that each side holds
 * the other back: a reader who stops closes the guest's window, a guest who stops makes writers wait.
 *
 * libslirp never tells that a connection was made. But it reads and writes only once the guest has answered the handshake: the first such
 * call says so.
 */
import type { IpEndpoint } from "../address.js";
import { ByteQueue, type ChunkPool } from "../byte-queue.js";
import { Errno, Readiness, type HostStream } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";

/** Bytes kept in each direction: as much as four large segments, and with both well below MAX_BUFFERED_BYTES. */
const QUEUE_BYTES = 192 * 1024;

/** Largest piece that a reader is given: a window's worth. */
const PIECE_BYTES = 64 * 1024;

/** Who stands at the other end. Told from within the stack's calls: nobody else's code may run there. */
export interface GuestStreamWatcher {
  /** The guest has answered. */
  onOpen(): void;
  /** Something may have become possible: bytes came, there is room, the guest sent FIN. */
  onProgress(): void;
  /** The stack has let go of the stream, `inOrder` or by reset. */
  onGone(inOrder: boolean): void;
}

/** See the top of the file. */
export class GuestStream extends ReadinessSource implements HostStream {
  readonly localEndpoint = undefined;
  readonly #watcher: GuestStreamWatcher;
  readonly #fromGuest: ByteQueue;
  readonly #toGuest: ByteQueue;
  #opened = false;
  #guestEnded = false;
  #writerEnded = false;
  #endTaken = false;
  #discarding = false;
  #aborted = false;
  #unraised = 0;

  /** @param remoteEndpoint who the guest shall think is connecting: an address of the host's loopback. */
  constructor(
    readonly remoteEndpoint: IpEndpoint,
    pool: ChunkPool,
    watcher: GuestStreamWatcher,
  ) {
    super();
    this.#watcher = watcher;
    this.#fromGuest = new ByteQueue(pool);
    this.#toGuest = new ByteQueue(pool);
    // So that libslirp asks as soon as it may.
    this.#raiseSoon(Readiness.readable);
  }

  // What the stack calls.

  send(first: Uint8Array, second?: Uint8Array): number {
    this.#open();
    const length = first.length + (second?.length ?? 0);
    if (this.#aborted) return -Errno.ECONNRESET;
    if (this.#guestEnded || (this.#discarding && this.#writerEnded)) return -Errno.EPIPE;
    if (this.#discarding || length === 0) return length;
    let taken = this.#takeFromGuest(first);
    if (second && taken === first.length) taken += this.#takeFromGuest(second);
    if (taken < length) this.owe(Readiness.writable);
    if (taken === 0) return -Errno.EAGAIN;
    this.#watcher.onProgress();
    return taken;
  }

  receive(target: Uint8Array): number {
    this.#open();
    if (this.#aborted) return -Errno.ECONNRESET;
    const count = this.#toGuest.read(target);
    if (count < target.length) this.owe(Readiness.readable);
    if (count > 0 || (this.#writerEnded && !this.#endTaken)) {
      this.#endTaken = count === 0;
      this.#watcher.onProgress();
    }
    return count === 0 && !this.#writerEnded ? -Errno.EAGAIN : count;
  }

  shutdownWrite(): void {
    this.#guestEnded = true;
    this.#watcher.onProgress();
  }

  close(): void {
    this.#end(true);
  }

  reset(): void {
    this.#end(false);
  }

  // What the other end calls.

  /** The guest has sent FIN, and all before it has been read. */
  get isReadToEnd(): boolean {
    return this.#guestEnded && this.#fromGuest.length === 0;
  }

  /** The guest has sent FIN. */
  get guestHasEnded(): boolean {
    return this.#guestEnded;
  }

  /** The stack has taken everything, the end too. */
  get isWrittenToEnd(): boolean {
    return this.#endTaken;
  }

  /** The next bytes from the guest, the reader's own. */
  read(): Uint8Array<ArrayBuffer> | undefined {
    const length = Math.min(this.#fromGuest.length, PIECE_BYTES);
    if (length === 0) return undefined;
    const bytes = new Uint8Array(length);
    this.#fromGuest.read(bytes);
    this.#raiseSoon(Readiness.writable);
    return bytes;
  }

  /** Takes bytes for the guest, from `start` on, as far as there is room: how many. */
  write(bytes: Uint8Array, start: number): number {
    const room = QUEUE_BYTES - this.#toGuest.length;
    const count = Math.min(room, bytes.length - start);
    if (count > 0) {
      this.#toGuest.push(bytes, start, start + count);
      this.#raiseSoon(Readiness.readable);
    }
    return count;
  }

  /** No more is written: FIN follows the last byte. */
  end(): void {
    this.#writerEnded = true;
    this.#raiseSoon(Readiness.readable);
  }

  /** Nobody reads any more. What comes is thrown away, and once writing has ended too, answered by RST. */
  discard(): void {
    this.#discarding = true;
    this.#fromGuest.clear();
    this.#raiseSoon(Readiness.writable);
  }

  /** Cuts the connection off: the guest sees RST. */
  abort(): void {
    this.#aborted = true;
    this.#fromGuest.clear();
    this.#toGuest.clear();
    this.#raiseSoon(Readiness.readable | Readiness.writable | Readiness.error);
  }

  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#watcher.onOpen();
  }

  #takeFromGuest(bytes: Uint8Array): number {
    const count = Math.min(QUEUE_BYTES - this.#fromGuest.length, bytes.length);
    if (count > 0) this.#fromGuest.push(bytes, 0, count);
    return Math.max(count, 0);
  }

  /** What was received stays to be read. */
  #end(inOrder: boolean): void {
    this.silence();
    this.#toGuest.clear();
    this.#watcher.onGone(inOrder);
  }

  /** Never at once: whoever reads or writes may do so from within a NIC's callback, which the module itself has called. */
  #raiseSoon(events: number): void {
    if (this.#unraised === 0) {
      queueMicrotask(() => {
        const due = this.#unraised;
        this.#unraised = 0;
        this.raise(due);
      });
    }
    this.#unraised |= events;
  }
}
