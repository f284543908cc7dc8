/**
 * TCP and unix streams on `net.Socket`.
 *
 * Receiving. What Node reads is copied into a queue; above {@link PAUSE_BYTES} Node is told to stop, and to go on when half
 * of that has been taken. Connections that we open read into one buffer common to all (`onread`); Node offers that for
 * those only, so accepted ones take `data` events, whose reads may run up to two buffers (128 KiB) over.
 *
 * Sending goes through a `SendQueue`: one write a turn.
 *
 * Memory, per stream: at most 256 KiB received (128 KiB to pause at, 128 KiB that arrive nevertheless) and 192 KiB to be
 * sent, and up to four chunks not filled: 512 KiB, the contract's bound. An idle stream holds no buffer.
 *
 * Ends. Half-close goes both ways (`allowHalfOpen`). As with a BSD socket
 * - what was received before an RST can still be read, then the error is told, and told again by each further call;
 * - `close` sends what was taken and then FIN, in the background. Where received bytes are left unread, and none wait to be
 *   sent, the other side is told by RST that they were lost;
 * - a reader on the other side that has taken nothing for the linger limit after `close` is given up: RST.
 * Other than a BSD socket Node does not look at a stream that it does not read: a reset is noticed once there is something
 * to read or to write again. And a failing write ends the stream: what the kernel had received until then is lost.
 */
import type { Socket } from "node:net";
import type { HostEndpoint } from "../address.js";
import { Errno, Readiness, type HostStream } from "../host-network.js";
import { ByteQueue } from "../byte-queue.js";
import { errnoOf } from "./errno-of.js";
import { endpointOf } from "./node-endpoints.js";
import type { NodeLoop, Resource } from "./node-loop.js";
import { ReadinessSource } from "../readiness-source.js";
import { SendQueue, type SendQueueOwner } from "./send-queue.js";

/** Received bytes above which the socket is not read: enough for a fast path's round trip, a quarter of the bound. */
const PAUSE_BYTES = 128 * 1024;
const RESUME_BYTES = PAUSE_BYTES / 2;

const ALL_EVENTS = Readiness.readable | Readiness.writable | Readiness.error | Readiness.hangup;

/** What a stream is made of, besides its socket. */
export interface StreamParts {
  readonly loop: NodeLoop;
  /** How long a closed stream may wait for its reader, milliseconds without progress. */
  readonly lingerMs: number;
  readonly remote: HostEndpoint;
}

const NOTHING = new Uint8Array();

export class NodeStream extends ReadinessSource implements HostStream, Resource, SendQueueOwner {
  readonly #parts: StreamParts;
  readonly #socket: Socket;
  readonly #received: ByteQueue;
  readonly #toSend: SendQueue;
  #paused = false;
  #connected: boolean;
  /** FIN came. */
  #ended = false;
  /** FIN: to be sent behind what is queued; asked of Node; done. */
  #finState: "none" | "wanted" | "asked" | "done" = "none";
  /** What ended the stream before its time: an errno, or 0. */
  #failure = 0;
  #closed = false;
  #local: HostEndpoint | undefined;

  /**
   * Takes over `socket`, which nobody reads yet. `local` is given for an accepted connection, and says by that that it is
   * one; else the socket is connecting, and what it reads is brought to `take`.
   */
  constructor(parts: StreamParts, socket: Socket, local: HostEndpoint | undefined) {
    super();
    this.#parts = parts;
    this.#socket = socket;
    this.#received = new ByteQueue(parts.loop.pool);
    this.#toSend = new SendQueue(parts.loop, socket, this);
    this.#connected = local !== undefined;
    this.#local = local;
    parts.loop.add(this);
    if (!this.#connected) socket.on("connect", () => this.#onConnect());
    socket.on("end", () => this.#onEndOrReset());
    socket.on("error", (error) => this.#onError(error));
    socket.on("close", () => this.#onClose());
  }

  /** Begins to read an accepted connection. */
  start(): void {
    this.#socket.on("data", (data) => {
      if (!this.take(data, data.length)) this.#socket.pause();
    });
    this.#socket.resume();
    this.raise(Readiness.writable);
  }

  get localEndpoint(): HostEndpoint | undefined {
    if (this.#local || !this.#connected) return this.#local;
    const { remote } = this.#parts;
    this.#local =
      remote.family === "unix"
        ? { family: "unix", path: "" }
        : endpointOf(this.#socket.localAddress, this.#socket.localPort);
    return this.#local;
  }

  get remoteEndpoint(): HostEndpoint | undefined {
    return this.#connected ? this.#parts.remote : undefined;
  }

  receive(target: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#received.length > 0 || target.length === 0) {
      const count = this.#received.read(target);
      if (this.#received.length === 0) this.owe(Readiness.readable);
      if (this.#paused && this.#received.length <= RESUME_BYTES) this.#resume();
      return count;
    }
    if (this.#failure !== 0) return -this.#failure;
    if (this.#ended) return 0;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#failure !== 0) return -this.#failure;
    if (this.#finState !== "none") return -Errno.EPIPE;
    if (!this.#connected) return -Errno.ENOTCONN;
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.#toSend.push(first, second);
    if (taken < wanted) this.owe(Readiness.writable);
    return taken === 0 && wanted > 0 ? -Errno.EAGAIN : taken;
  }

  shutdownWrite(): void {
    if (this.#closed || this.#finState !== "none") return;
    this.#finState = "wanted";
    this.#toSend.flushSoon();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    const unread = this.#received.length > 0;
    this.#received.clear();
    if (this.#socket.destroyed) return;
    if (this.#toSend.length === 0) {
      if (unread) this.#destroyWithReset();
      else this.#socket.destroy();
      return;
    }
    this.#socket.pause();
    this.#socket.setTimeout(this.#parts.lingerMs, () => this.#destroyWithReset());
    this.#toSend.flushSoon();
  }

  reset(): void {
    this.#closed = true;
    this.silence();
    this.#received.clear();
    this.#toSend.clear();
    this.#destroyWithReset();
  }

  abort(): void {
    this.reset();
  }

  setRef(hold: boolean): void {
    if (this.#socket.destroyed) return;
    if (hold) this.#socket.ref();
    else this.#socket.unref();
  }

  get mayWrite(): boolean {
    return this.#connected && !this.#socket.destroyed;
  }

  onRoom(): void {
    this.raise(Readiness.writable);
  }

  onAllWritten(): void {
    if (this.#closed) {
      this.#socket.destroy();
    } else if (this.#finState === "wanted") {
      this.#finState = "asked";
      this.#socket.end(() => (this.#finState = "done"));
    }
  }

  /** Queues what was read. False: do not read on. */
  take(data: Uint8Array, count: number): boolean {
    if (this.#closed) return false;
    this.#received.push(data, 0, count);
    this.#paused = this.#received.length > PAUSE_BYTES;
    this.raise(Readiness.readable);
    return !this.#paused;
  }

  #resume(): void {
    this.#paused = false;
    if (!this.#socket.destroyed) this.#socket.resume();
  }

  #onConnect(): void {
    this.#connected = true;
    this.raise(Readiness.writable);
    this.#toSend.flushSoon();
  }

  /**
   * libuv tells a reset as an end in order where data came with it (it takes the hang-up behind a partial read for that). The system
   * knows better, and tells who writes, be it nothing. A unix socket knows no reset, and its writer cannot tell.
   */
  #onEndOrReset(): void {
    const socket = this.#socket;
    if (this.#parts.remote.family === "unix" || !socket.writable || socket.writableLength > 0) {
      this.#onEnd();
      return;
    }
    socket.write(NOTHING, (error) => {
      if (!error) this.#onEnd();
    });
  }

  #onEnd(): void {
    this.#ended = true;
    this.raise(Readiness.readable);
  }

  #onError(error: Error): void {
    if (this.#failure !== 0) return;
    this.#failure = errnoOf(error);
    this.keepError(this.#failure);
    this.#toSend.clear();
    this.raise(ALL_EVENTS);
  }

  #onClose(): void {
    this.#parts.loop.remove(this);
    if (this.#failure === 0) this.raise(Readiness.hangup);
  }

  /** The other side shall see RST; a unix socket has none and is just closed. */
  #destroyWithReset(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (!this.#connected || this.#parts.remote.family === "unix") {
      socket.destroy();
    } else if (this.#finState === "asked") {
      // libuv refuses to reset while it is shutting down; that takes until the next turn of the event loop.
      socket.once("finish", () => this.#destroyWithReset());
    } else {
      socket.resetAndDestroy();
    }
  }
}
