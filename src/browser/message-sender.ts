/**
 * The sending half of a stream whose bytes go out as messages of a WebSocket: up to 64 KiB each, as far as whoever owns the WebSocket
 * lets them.
 *
 * What the stack sends in one call becomes one message, copied once, and goes out in that call when nothing is queued before it. What may
 * not go is queued, up to a bound. What a protocol puts before the bytes, and when it may send, the subclass says.
 */
import { ByteQueue, type ChunkPool } from "../byte-queue.js";

/** A message at most, header included: the window of a guest that does not scale it, and what every server takes. */
const MESSAGE_BYTES = 64 * 1024;

/** A message may follow another in a turn while less than this was sent: twice as much goes out at most. */
const TURN_BYTES = 64 * 1024;

/** Messages for WebSockets that copy them, one after the other in the same memory: new memory costs more than the copy. */
let reused: Uint8Array<ArrayBuffer> | undefined;

/** Whose bytes they are. Told from events only, never from within `push`. */
export interface MessageSenderOwner {
  /** There is room again, after `push` took less than it was given. */
  onRoom(): void;
  /** Something of what was queued went out; all of it where `length` is 0. */
  onProgress(): void;
}

/** See the top of the file. */
export abstract class MessageSender {
  readonly #owner: MessageSenderOwner;
  readonly #headerBytes: number;
  readonly #queue: ByteQueue;
  #sentInTurn = 0;
  #limited = false;
  #unheard = false;

  constructor(owner: MessageSenderOwner, pool: ChunkPool, headerBytes: number) {
    this.#owner = owner;
    this.#headerBytes = headerBytes;
    this.#queue = new ByteQueue(pool);
  }

  /** A message may go out now. */
  protected abstract get isOpen(): boolean;

  /** `transmit` is done with a message when it returns; else its buffer is the WebSocket's from then on. */
  protected abstract get isCopied(): boolean;

  /** Sends a message, with room for the header before the payload. */
  protected abstract transmit(message: Uint8Array<ArrayBuffer>): void;

  /** Bytes queued. */
  get length(): number {
    return this.#queue.length;
  }

  /** Data was sent since the host, or the relay, was last heard of: the relay may not have written it yet. */
  get isUnheard(): boolean {
    return this.#unheard;
  }

  /** The host has answered something. */
  heard(): void {
    this.#unheard = false;
  }

  /** Nothing is sent any more, and what is queued forgotten. */
  stop(): void {
    this.#queue.clear();
  }

  /** Sends or queues as much as there is room for, over both pieces; answers how many bytes. */
  push(first: Uint8Array, second?: Uint8Array): number {
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.#queueRest(first, second, this.#sendNow(first, second, wanted));
    if (taken < wanted) this.#limited = true;
    return taken;
  }

  /** Sends what is queued as far as that may go. */
  goOn(): void {
    const before = this.#queue.length;
    while (this.#queue.length > 0 && this.#maySend) {
      const count = Math.min(this.#queue.length, this.#payloadBytes);
      const message = this.#newMessage(this.#headerBytes + count);
      this.#queue.read(message.subarray(this.#headerBytes));
      this.#send(message);
    }
    if (this.#queue.length < before) this.#owner.onProgress();
    if (!this.#limited || this.#queue.length > this.#payloadBytes / 2) return;
    this.#limited = false;
    this.#owner.onRoom();
  }

  /**
   * Of a message, and of what is taken and not sent yet. With what a turn sends and a stream's window that keeps to the contract's bound.
   */
  get #payloadBytes(): number {
    return MESSAGE_BYTES - this.#headerBytes;
  }

  get #maySend(): boolean {
    return this.#sentInTurn < TURN_BYTES && this.isOpen;
  }

  #sendNow(first: Uint8Array, second: Uint8Array | undefined, wanted: number): number {
    const header = this.#headerBytes;
    let at = 0;
    while (at < wanted && this.#queue.length === 0 && this.#maySend) {
      const count = Math.min(wanted - at, this.#payloadBytes);
      const message = this.#newMessage(header + count);
      const fromFirst = first.subarray(at, at + count);
      message.set(fromFirst, header);
      if (second && fromFirst.length < count) {
        const start = Math.max(at - first.length, 0);
        const piece = second.subarray(start, start + count - fromFirst.length);
        message.set(piece, header + fromFirst.length);
      }
      this.#send(message);
      at += count;
    }
    return at;
  }

  /** Queues what comes behind the first `at` bytes, as far as there is room; answers how many are taken in all. */
  #queueRest(first: Uint8Array, second: Uint8Array | undefined, at: number): number {
    let taken = at;
    const push = (bytes: Uint8Array, before: number): void => {
      const start = taken - before;
      const room = this.#payloadBytes - this.#queue.length;
      const end = Math.min(bytes.length, start + room);
      if (start < 0 || end <= start) return;
      this.#queue.push(bytes, start, end);
      taken += end - start;
    };
    push(first, 0);
    if (second && taken >= first.length) push(second, first.length);
    return taken;
  }

  #newMessage(bytes: number): Uint8Array<ArrayBuffer> {
    if (!this.isCopied) return new Uint8Array(bytes);
    reused ??= new Uint8Array(MESSAGE_BYTES);
    return reused.subarray(0, bytes);
  }

  #send(message: Uint8Array<ArrayBuffer>): void {
    if (this.#sentInTurn === 0) queueMicrotask(this.#endTurn);
    this.#sentInTurn += message.length;
    this.#unheard = true;
    this.transmit(message);
  }

  readonly #endTurn = (): void => {
    this.#sentInTurn = 0;
    this.goOn();
  };
}
