/**
 * A client's WebSocket: what waits for it is counted, and who fills it is told when to go on.
 *
 * `ws` has no event for "sent"; each message has a callback. Above the bound, whoever sends is asked to stop reading from its target
 * (`send` answers false), and told by `onRoom` when half of it is out. One client that reads slowly so costs the bound, and nobody else
 * anything.
 */
import type { RawData, WebSocket } from "ws";
import { giveMessage } from "./message-pool.js";

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
  #reading = true;

  constructor(options: RelayLinkOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#socket.on("message", (data: RawData, isBinary: boolean) => {
      const message = toBuffer(data);
      options.bytesIn.inc(message.length);
      options.onMessage(message, isBinary);
    });
    this.#socket.on("pong", () => {
      this.#alive = true;
    });
    // A client that breaks the framing: ws closes the WebSocket with the right code.
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      clearInterval(this.#ping);
      this.#stopped.clear();
      options.onClose();
    });
    this.#ping = setInterval(() => {
      // Pongs of a client that is not read do not arrive.
      if (!this.#alive && this.#reading) {
        this.#socket.terminate();
        return;
      }
      this.#alive = false;
      this.#socket.ping();
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
    this.#options.bytesOut.inc(length);
    this.#socket.send(message, () => {
      giveMessage(message);
      this.#sent(length);
    });
    if (!sender || this.#queuedBytes < this.#options.maxQueuedBytes) return true;
    this.#stopped.add(sender);
    return false;
  }

  /** Sends a message that may be lost, and is when more waits than should. */
  sendOrDrop(message: Uint8Array): void {
    if (this.#queuedBytes < this.#options.maxQueuedBytes) this.send(message);
  }

  /** Stops or goes on reading the client. */
  setReading(reading: boolean): void {
    if (reading === this.#reading) return;
    this.#reading = reading;
    if (reading) this.#socket.resume();
    else this.#socket.pause();
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

  #sent(length: number): void {
    this.#queuedBytes -= length;
    if (this.#stopped.size === 0 || this.#queuedBytes > this.#options.maxQueuedBytes / 2) return;
    const stopped = [...this.#stopped];
    this.#stopped.clear();
    for (const sender of stopped) sender.onRoom();
  }
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
