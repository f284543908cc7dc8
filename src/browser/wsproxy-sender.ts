/**
 * The sending half of a stream that has a WebSocket to itself: its bytes are the messages. What the WebSocket has not got rid of
 * (`bufferedAmount`) is bounded; it has no event for having sent, so it is looked at again and again while more waits.
 */
import type { ChunkPool } from "../byte-queue.js";
import { MessageSender, type MessageSenderOwner } from "./message-sender.js";
import { copiesWhatItSends, WEB_SOCKET_OPEN, type WebSocketLike } from "./web-socket.js";

/** What may wait in a WebSocket: with the queue before it and what is received, the contract's bound for a stream is kept. */
const MAX_BUFFERED_AMOUNT_BYTES = 128 * 1024;

const POLL_MS = 5;

/** See the top of the file. */
export class WsproxySender extends MessageSender {
  #socket: WebSocketLike | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isCopied = false;

  constructor(owner: MessageSenderOwner, pool: ChunkPool) {
    super(owner, pool, 0);
  }

  /** From now on it sends on this WebSocket. */
  start(socket: WebSocketLike): void {
    this.#socket = socket;
    this.#isCopied = copiesWhatItSends(socket);
    this.goOn();
  }

  override stop(): void {
    this.#socket = undefined;
    clearTimeout(this.#timer);
    super.stop();
  }

  protected override get isOpen(): boolean {
    if (this.#socket?.readyState !== WEB_SOCKET_OPEN) return false;
    if (this.#socket.bufferedAmount < MAX_BUFFERED_AMOUNT_BYTES) return true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.goOn();
    }, POLL_MS);
    return false;
  }

  protected override get isCopied(): boolean {
    return this.#isCopied;
  }

  protected override transmit(message: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(message);
  }
}
