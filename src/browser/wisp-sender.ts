/**
 * The sending half of a Wisp stream: DATA messages of up to 60 kB, as far as the relay's credits and the WebSocket allow.
 *
 * What the stack sends in one call becomes one message, copied once, and goes out in that call when nothing is queued before it. What may
 * not go is queued. CONTINUE sets the credits: packets under way then are the relay's to have counted. The window cannot be used less
 * than fully, for some relays send CONTINUE only when it is used up.
 */
import { ByteQueue, type ChunkPool } from "../byte-queue.js";
import { WISP_HEADER_BYTES, WispType, writeHeader } from "../wisp.js";
import type { WispConnection } from "./wisp-connection.js";

/** Payload of a DATA message at most: large enough that its costs do not matter, below what every server takes. */
const GATHER_BYTES = 60_000;

/** Bytes sent in a turn, and bytes taken and not sent yet, each at most: with a window they keep to the contract's bound. */
const SEND_BYTES = 120 * 1024;

/** Whose bytes they are. Told from events only, never from within `push`. */
export interface WispSenderOwner {
  /** There is room again, after `push` took less than it was given. */
  onRoom(): void;
  /** Something of what was queued went out; all of it where `length` is 0. */
  onProgress(): void;
}

/** See the top of the file. */
export class WispSender {
  readonly #owner: WispSenderOwner;
  readonly #queue: ByteQueue;
  #connection: WispConnection | undefined;
  #id = 0;
  #credits = 0;
  #sentInTurn = 0;
  #limited = false;
  #unheard = false;

  constructor(owner: WispSenderOwner, pool: ChunkPool) {
    this.#owner = owner;
    this.#queue = new ByteQueue(pool);
  }

  /** Bytes queued. */
  get length(): number {
    return this.#queue.length;
  }

  /** Data was sent since the relay was last heard of: it may not have written it yet. */
  get isUnheard(): boolean {
    return this.#unheard;
  }

  /** From now on it sends on this stream. */
  start(connection: WispConnection, id: number): void {
    this.#connection = connection;
    this.#id = id;
    this.#credits = connection.initialCredits;
  }

  /** Nothing is sent any more, and what is queued forgotten. */
  stop(): void {
    this.#connection = undefined;
    this.#queue.clear();
  }

  /** Sends or queues as much as there is room for, over both pieces; answers how many bytes. */
  push(first: Uint8Array, second?: Uint8Array): number {
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.#queueRest(first, second, this.#sendNow(first, second, wanted));
    if (taken < wanted) this.#limited = true;
    return taken;
  }

  /** CONTINUE. */
  grant(credits: number): void {
    this.#credits = credits;
    this.goOn();
  }

  /** The relay's host has answered something. */
  heard(): void {
    this.#unheard = false;
  }

  /** Sends what is queued as far as that may go. */
  goOn(): void {
    const before = this.#queue.length;
    while (this.#queue.length > 0 && this.#maySend) {
      const count = Math.min(this.#queue.length, GATHER_BYTES);
      const message = new Uint8Array(WISP_HEADER_BYTES + count);
      this.#queue.read(message.subarray(WISP_HEADER_BYTES));
      this.#send(message);
    }
    if (this.#queue.length < before) this.#owner.onProgress();
    if (!this.#limited || this.#queue.length > SEND_BYTES / 2) return;
    this.#limited = false;
    this.#owner.onRoom();
  }

  get #maySend(): boolean {
    return (
      this.#credits > 0 && this.#sentInTurn < SEND_BYTES && this.#connection?.isCongested === false
    );
  }

  #sendNow(first: Uint8Array, second: Uint8Array | undefined, wanted: number): number {
    let at = 0;
    while (at < wanted && this.#queue.length === 0 && this.#maySend) {
      const count = Math.min(wanted - at, GATHER_BYTES);
      const message = new Uint8Array(WISP_HEADER_BYTES + count);
      const fromFirst = first.subarray(at, at + count);
      message.set(fromFirst, WISP_HEADER_BYTES);
      if (second && fromFirst.length < count) {
        const start = Math.max(at - first.length, 0);
        const piece = second.subarray(start, start + count - fromFirst.length);
        message.set(piece, WISP_HEADER_BYTES + fromFirst.length);
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
      const room = SEND_BYTES - this.#queue.length;
      const end = Math.min(bytes.length, start + room);
      if (start < 0 || end <= start) return;
      this.#queue.push(bytes, start, end);
      taken += end - start;
    };
    push(first, 0);
    if (second && taken >= first.length) push(second, first.length);
    return taken;
  }

  #send(message: Uint8Array<ArrayBuffer>): void {
    writeHeader(message, WispType.data, this.#id);
    this.#credits--;
    this.#unheard = true;
    if (this.#sentInTurn === 0) queueMicrotask(this.#endTurn);
    this.#sentInTurn += message.length;
    this.#connection?.send(message);
  }

  readonly #endTurn = (): void => {
    this.#sentInTurn = 0;
    this.goOn();
  };
}
