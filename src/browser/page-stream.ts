/**
 * A TCP stream of the guest whose other end is the page itself: a server in JavaScript, written with `await`.
 *
 * The stack's end is a host socket as any other, with bounded buffers both ways. The page's end is {@link PagePeer}: reading waits for bytes,
 * writing waits for room, so that a guest that reads slowly holds back whoever writes.
 */
import type { HostEndpoint } from "../address.js";
import { ByteQueue, type ChunkPool } from "../byte-queue.js";
import { Errno, Readiness, type HostStream } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import type { OpenSocket } from "./page-host-network.js";

/** What waits in either direction, at most. */
const QUEUE_BYTES = 128 * 1024;

/** The most that `read` answers at once. */
const READ_BYTES = 64 * 1024;

const ALL_EVENTS = Readiness.readable | Readiness.writable | Readiness.error | Readiness.hangup;

/** The page's end. */
export interface PagePeer {
  /** Aborted when the guest has closed or reset the stream: nobody hears an answer any more. */
  readonly signal: AbortSignal;
  /** The next bytes, the caller's own; undefined where the guest has sent FIN, or closed, behind all it sent. Rejects after a reset. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Sends; fulfilled when the guest keeps up. Rejects when it is gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** Sends FIN; reading goes on. */
  end(): void;
}

/** Serves a stream. FIN follows when it is fulfilled, RST when it rejects. */
export type PageServer = (peer: PagePeer) => Promise<void>;

/** Nobody is there any more. */
class GuestGone extends Error {
  constructor() {
    super("the guest has ended the connection");
  }
}

/** What streams of a network have in common. */
export interface PageStreamParts {
  readonly pool: ChunkPool;
  readonly open: Set<OpenSocket>;
}

/** See the top of the file. */
export class PageStream extends ReadinessSource implements HostStream, PagePeer, OpenSocket {
  readonly localEndpoint = undefined;
  readonly #parts: PageStreamParts;
  readonly #remote: HostEndpoint;
  readonly #toPage: ByteQueue;
  readonly #toGuest: ByteQueue;
  readonly #gone = new AbortController();
  #isConnected = false;
  #guestFin = false;
  #pageFin = false;
  #failure = 0;
  #closed = false;
  #isReset = false;
  /** The page is done with it. */
  #served = false;
  #waiting: (() => void)[] = [];

  constructor(parts: PageStreamParts, remote: HostEndpoint, serve: PageServer) {
    super();
    this.#parts = parts;
    this.#remote = remote;
    this.#toPage = new ByteQueue(parts.pool);
    this.#toGuest = new ByteQueue(parts.pool);
    parts.open.add(this);
    queueMicrotask(() => {
      this.#connect(serve);
    });
  }

  get remoteEndpoint(): HostEndpoint | undefined {
    return this.#isConnected ? this.#remote : undefined;
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  receive(target: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#toGuest.length > 0 || target.length === 0) {
      const count = this.#toGuest.read(target);
      if (this.#toGuest.length === 0) this.owe(Readiness.readable);
      if (count > 0) this.#wake();
      return count;
    }
    if (this.#failure !== 0) return -this.#failure;
    if (this.#pageFin) return 0;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#failure !== 0) return -this.#failure;
    if (this.#guestFin) return -Errno.EPIPE;
    if (!this.#isConnected) return -Errno.ENOTCONN;
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.#take(first) + (second ? this.#take(second) : 0);
    if (taken > 0) this.#wake();
    if (taken < wanted) this.owe(Readiness.writable);
    return taken === 0 && wanted > 0 ? -Errno.EAGAIN : taken;
  }

  shutdownWrite(): void {
    this.#guestFin = true;
    this.#wake();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#toGuest.clear();
    if (this.#served || this.#failure !== 0) this.#parts.open.delete(this);
    // Not from within the stack's call: who listens may do anything.
    queueMicrotask(() => {
      this.#gone.abort(new GuestGone());
    });
    this.#wake();
  }

  reset(): void {
    this.#isReset = true;
    this.#toPage.clear();
    this.#parts.open.delete(this);
    this.close();
  }

  abandon(): void {
    this.close();
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (this.#toPage.length === 0) {
      if (this.#isReset) throw new GuestGone();
      if (this.#guestFin || this.#closed) return undefined;
      await this.#change();
    }
    const bytes = new Uint8Array(Math.min(this.#toPage.length, READ_BYTES));
    this.#toPage.read(bytes);
    this.raise(Readiness.writable);
    return bytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (this.#closed) throw new GuestGone();
      const end = Math.min(bytes.length, at + QUEUE_BYTES - this.#toGuest.length);
      if (end === at) {
        await this.#change();
        continue;
      }
      this.#toGuest.push(bytes, at, end);
      at = end;
      this.raise(Readiness.readable);
    }
  }

  end(): void {
    this.#pageFin = true;
    this.raise(Readiness.readable);
  }

  #connect(serve: PageServer): void {
    if (this.#closed) {
      this.#parts.open.delete(this);
      return;
    }
    this.#isConnected = true;
    this.raise(Readiness.writable);
    serve(this).then(
      () => {
        this.#served = true;
        this.#toPage.clear();
        this.end();
        this.raise(Readiness.writable);
        if (this.#closed) this.#parts.open.delete(this);
      },
      () => {
        this.#parts.open.delete(this);
        this.#toPage.clear();
        if (this.#closed) return;
        this.#failure = Errno.ECONNRESET;
        this.keepError(Errno.ECONNRESET);
        this.raise(ALL_EVENTS);
      },
    );
  }

  /** As much as there is room for. Once the page is done nobody reads any more: it is taken and forgotten. */
  #take(bytes: Uint8Array): number {
    if (this.#served) return bytes.length;
    const count = Math.min(bytes.length, QUEUE_BYTES - this.#toPage.length);
    this.#toPage.push(bytes, 0, count);
    return count;
  }

  /** Something has happened that `read` or `write` may wait for. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
