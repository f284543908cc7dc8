/**
 * The sending half of a Wisp stream: DATA messages, as far as the relay's credits and the WebSocket allow.
 *
 * CONTINUE sets the credits: packets under way then are the relay's to have counted. The window cannot be used less than fully, for some
 * relays send CONTINUE only when it is used up.
 */
import type { ChunkPool } from "../byte-queue.js";
import { WISP_HEADER_BYTES, WispType, writeHeader } from "../wisp.js";
import { MessageSender, type MessageSenderOwner } from "./message-sender.js";
import type { WispConnection } from "./wisp-connection.js";

/** See the top of the file. */
export class WispSender extends MessageSender {
  #connection: WispConnection | undefined;
  #id = 0;
  #credits = 0;

  constructor(owner: MessageSenderOwner, pool: ChunkPool) {
    super(owner, pool, WISP_HEADER_BYTES);
  }

  /** From now on it sends on this stream. */
  start(connection: WispConnection, id: number): void {
    this.#connection = connection;
    this.#id = id;
    this.#credits = connection.initialCredits;
  }

  override stop(): void {
    this.#connection = undefined;
    super.stop();
  }

  /** CONTINUE. */
  grant(credits: number): void {
    this.#credits = credits;
    this.goOn();
  }

  protected override get isOpen(): boolean {
    return this.#credits > 0 && this.#connection?.isCongested === false;
  }

  protected override get isCopied(): boolean {
    return this.#connection?.copiesPackets ?? false;
  }

  protected override transmit(message: Uint8Array<ArrayBuffer>): void {
    writeHeader(message, WispType.data, this.#id);
    this.#credits--;
    this.#connection?.send(message);
  }
}
