/**
 * A client's WebSocket: what waits for it is counted, and who fills it is told when to go on; its bytes are held to the rates that there
 * are, both ways; and it ends when nothing has gone through it for long.
 *
 * `ws` has no event for "sent"; each message has a callback. Above the bound, whoever sends is asked to stop reading from its target
 * (`send` answers false), and told by `onRoom` when half of it is out. One client that reads slowly so costs the bound, and nobody else
 * anything.
 */
import type { RawData, WebSocket } from "ws";
import { giveMessage } from "./message-pool.js";
import type { TokenBucket } from "./token-bucket.js";

/** RFC 6455, 7.4.1. */
const NORMAL_CLOSURE = 1000;

/** Who sends to a client. */
export interface LinkSender {
  /** There is room again. */
  onRoom(): void;
}

/** A counter, as prom-client has it. */
export interface ByteCounter {
  inc(count: number): void;
}

/** How a link is made. */
export interface RelayLinkOptions {
  readonly socket: WebSocket;
  readonly maxQueuedBytes: number;
  readonly pingIntervalMs: number;
  /** Without a message either way for so long it is closed. Looked at with each ping. */
  readonly idleTimeoutMs: number;
  /** What bytes are held to, the client's and that of all. */
  readonly rates: readonly TokenBucket[];
  onMessage(message: Buffer, isBinary: boolean): void;
  /** The WebSocket is closed. Once. */
  onClose(): void;
  /** Bytes from and to the client are counted there. */
  readonly bytesIn: ByteCounter;
  readonly bytesOut: ByteCounter;
}

/** See the top of the file. */
export class RelayLink {
  readonly #options: RelayLinkOptions;
  readonly #socket: WebSocket;
  readonly #stopped = new Set<LinkSender>();
  readonly #ping: NodeJS.Timeout;
  #queuedBytes = 0;
  #alive = true;
  /** Whether the session wants to read, and whether the rate lets it. */
  #wantsReading = true;
  #pauseTimer: NodeJS.Timeout | undefined;
  #isPaused = false;
  /** Set while more was sent than the rate allows. */
  #sendTimer: NodeJS.Timeout | undefined;
  #idleMs = 0;
  #wasUsed = false;

  constructor(options: RelayLinkOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#socket.on("message", (data: RawData, isBinary: boolean) => {
      const message = toBuffer(data);
      this.#wasUsed = true;
      options.bytesIn.inc(message.length);
      this.pauseFor(this.#take(message.length));
      options.onMessage(message, isBinary);
    });
    this.#socket.on("pong", () => {
      this.#alive = true;
    });
    // A client that breaks the framing: ws closes the WebSocket with the right code.
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      clearInterval(this.#ping);
      clearTimeout(this.#pauseTimer);
      clearTimeout(this.#sendTimer);
      this.#stopped.clear();
      options.onClose();
    });
    this.#ping = setInterval(() => {
      this.#look();
    }, options.pingIntervalMs);
  }

  /** Sends a message; its memory is the link's from then on. False: `sender` is to stop until `onRoom`. */
  send(message: Uint8Array, sender?: LinkSender): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      giveMessage(message);
      return true;
    }
    const { length } = message;
    this.#queuedBytes += length;
    this.#wasUsed = true;
    this.#options.bytesOut.inc(length);
    this.#socket.send(message, () => {
      giveMessage(message);
      this.#sent(length);
    });
    this.#holdSenders(this.#take(length));
    const isFull = this.#queuedBytes >= this.#options.maxQueuedBytes;
    if (!sender || (!isFull && this.#sendTimer === undefined)) return true;
    this.#stopped.add(sender);
    return false;
  }

  /** Sends a message that may be lost, and is when more waits than should, or more was sent than may be: false then. */
  sendOrDrop(message: Uint8Array): boolean {
    const isFull = this.#queuedBytes >= this.#options.maxQueuedBytes;
    if (isFull || this.#sendTimer !== undefined) return false;
    this.send(message);
    return true;
  }

  /** Stops or goes on reading the client. */
  setReading(reading: boolean): void {
    this.#wantsReading = reading;
    this.#applyReading();
  }

  /** Does not read the client for that time, whatever else is said. Milliseconds; 0 does nothing. */
  pauseFor(delayMs: number): void {
    if (delayMs <= 0 || this.#socket.readyState !== this.#socket.OPEN) return;
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => {
      this.#pauseTimer = undefined;
      this.#applyReading();
    }, delayMs);
    this.#applyReading();
  }

  /** The sender is gone. */
  forget(sender: LinkSender): void {
    this.#stopped.delete(sender);
  }

  /** Closes in order; `code`s are those of RFC 6455 7.4. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Ends it at once. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** What every ping is an occasion for. */
  #look(): void {
    // Pongs of a client that is not read do not arrive.
    if (!this.#alive && !this.#isPaused) {
      this.#socket.terminate();
      return;
    }
    this.#idleMs = this.#wasUsed ? 0 : this.#idleMs + this.#options.pingIntervalMs;
    this.#wasUsed = false;
    if (this.#idleMs >= this.#options.idleTimeoutMs) {
      this.close(NORMAL_CLOSURE, "nothing was sent for long");
      return;
    }
    this.#alive = false;
    this.#socket.ping();
  }

  #applyReading(): void {
    const isPaused = !this.#wantsReading || this.#pauseTimer !== undefined;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#socket.pause();
    else this.#socket.resume();
  }

  /** How long to wait after so many bytes. */
  #take(length: number): number {
    let waitMs = 0;
    for (const rate of this.#options.rates) waitMs = Math.max(waitMs, rate.take(length));
    return waitMs;
  }

  #holdSenders(delayMs: number): void {
    if (delayMs <= 0) return;
    clearTimeout(this.#sendTimer);
    this.#sendTimer = setTimeout(() => {
      this.#sendTimer = undefined;
      this.#wakeSenders();
    }, delayMs);
  }

  #sent(length: number): void {
    this.#queuedBytes -= length;
    this.#wakeSenders();
  }

  #wakeSenders(): void {
    if (this.#stopped.size === 0 || this.#sendTimer !== undefined) return;
    if (this.#queuedBytes > this.#options.maxQueuedBytes / 2) return;
    const stopped = [...this.#stopped];
    this.#stopped.clear();
    for (const sender of stopped) sender.onRoom();
  }
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
