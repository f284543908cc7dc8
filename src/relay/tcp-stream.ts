/**
 * TCP streams of a Wisp session: a connection of the relay each.
 *
 * Towards the client. With the stream control extension a stream sends no more than the client's window, and is paused until more is
 * granted; else, and beside that, the WebSocket's queue is the bound (`relay-link.ts`).
 *
 * From the client. CONTINUE is due every quarter of the window, as soon as the target has taken most of what was written: a client never
 * waits for it that is not ahead of its target. Packets under way make credits a rough measure, so what is enforced are bytes: the session
 * counts what waits for its targets (`wisp-session.ts`).
 */
import type { Socket } from "node:net";
import {
  encodeClose,
  encodeContinue,
  encodeData,
  WISP_HEADER_BYTES,
  WispReason,
  WispType,
  writeHeader,
} from "../wisp.js";
import { reasonOfError } from "./dial.js";
import type { RelayLimits } from "./limits.js";
import type { LinkSender, RelayLink } from "./relay-link.js";
import { giveMessage, MAX_PIECE_BYTES } from "./message-pool.js";
import { TcpTarget, type TcpTargetOwner } from "./tcp-target.js";

/** A target that takes nothing while so much waits for it gives no credits. */
const MAX_TARGET_QUEUE_BYTES = 1024 * 1024;

/** What streams have of their session. */
export interface StreamContext {
  readonly link: RelayLink;
  readonly limits: RelayLimits;
  /** Bytes that the client takes of a stream unasked; undefined where stream control is not in use. */
  readonly windowBytes: number | undefined;
  /** CONTINUE tells that a stream is connected. */
  readonly confirmsOpen: boolean;
  /** So many bytes more, or less, wait for targets. */
  onQueued(bytes: number): void;
  /** The stream's id is free again. */
  onGone(id: number): void;
}

/** What a session tells a stream. */
export interface RelayStream {
  /** DATA. */
  receive(payload: Buffer): void;
  /** CONTINUE, which only grants with stream control. */
  grant(bytes: number): void;
  /** CLOSE. */
  endByClient(reason: number): void;
  /** The session is over. */
  abandon(): void;
}

/** A TCP stream. */
export class TcpStream implements RelayStream, TcpTargetOwner, LinkSender {
  readonly #context: StreamContext;
  readonly #id: number;
  readonly #target: TcpTarget;
  readonly #connectTimer: NodeJS.Timeout | undefined;
  #connected = false;
  #gone = false;
  /** FIN came from the target, and from the client. */
  #targetEnded = false;
  #clientEnded = false;
  #allowance: number;
  #blockedByLink = false;
  /** Bytes that wait for the target, as the session knows them. */
  #queued = 0;
  /** Packets of the client since the last CONTINUE. */
  #packets = 0;

  constructor(
    context: StreamContext,
    id: number,
    target: { readonly address: string; readonly port: number } | { readonly accepted: Socket },
  ) {
    this.#context = context;
    this.#id = id;
    this.#allowance = context.windowBytes ?? Infinity;
    this.#target = new TcpTarget(this, target, context.limits.tcpIdleTimeoutMs);
    if ("accepted" in target) {
      this.#connected = true;
      return;
    }
    this.#connectTimer = setTimeout(() => {
      this.#close(WispReason.connectTimeout);
      this.#target.reset();
    }, context.limits.connectTimeoutMs);
  }

  receive(payload: Buffer): void {
    if (this.#gone) return;
    if (payload.length === 0 && this.#context.windowBytes !== undefined) {
      this.#clientEnded = true;
      this.#target.end();
      this.#endWhenBothDid();
      return;
    }
    if (this.#clientEnded) {
      this.#close(WispReason.invalid);
      this.#target.reset();
      return;
    }
    this.#packets++;
    this.#target.write(payload);
    this.#countQueued();
    this.#grantPackets();
  }

  grant(bytes: number): void {
    this.#allowance += bytes;
    this.#resume();
  }

  endByClient(reason: number): void {
    this.#leave();
    if (reason === WispReason.voluntary) this.#target.finish(this.#context.limits.lingerMs);
    else this.#target.reset();
  }

  abandon(): void {
    this.endByClient(WispReason.networkError);
  }

  onRoom(): void {
    this.#blockedByLink = false;
    this.#resume();
  }

  onConnected(): void {
    this.#connected = true;
    clearTimeout(this.#connectTimer);
    if (!this.#gone && this.#context.confirmsOpen) this.#continue();
  }

  onData(message: Buffer): boolean {
    if (this.#gone) {
      giveMessage(message);
      return true;
    }
    writeHeader(message, WispType.data, this.#id);
    this.#allowance -= message.length - WISP_HEADER_BYTES;
    this.#blockedByLink = !this.#context.link.send(message, this);
    return this.#mayRead;
  }

  onEnd(): void {
    this.#targetEnded = true;
    if (this.#gone) return;
    if (this.#context.windowBytes === undefined) {
      // Plain Wisp has no half-close: what the client sent goes out, and that is the end.
      this.#close(WispReason.voluntary);
      this.#target.finish(this.#context.limits.lingerMs);
      return;
    }
    this.#context.link.send(encodeData(this.#id, new Uint8Array()));
    this.#endWhenBothDid();
  }

  onDrain(): void {
    this.#countQueued();
    if (!this.#gone) this.#grantPackets();
  }

  onIdle(): void {
    this.#close(WispReason.transferTimeout);
    this.#target.reset();
  }

  onError(error: NodeJS.ErrnoException): void {
    if (!this.#gone) this.#close(this.#connected ? WispReason.networkError : reasonOfError(error));
  }

  onClose(): void {
    this.#context.onQueued(-this.#queued);
    this.#queued = 0;
    if (!this.#gone)
      this.#close(this.#targetEnded ? WispReason.voluntary : WispReason.networkError);
  }

  #countQueued(): void {
    const { queuedBytes } = this.#target;
    this.#context.onQueued(queuedBytes - this.#queued);
    this.#queued = queuedBytes;
  }

  get #mayRead(): boolean {
    return !this.#blockedByLink && this.#allowance > 2 * MAX_PIECE_BYTES;
  }

  #resume(): void {
    if (!this.#gone && this.#mayRead) this.#target.resume();
  }

  #grantPackets(): void {
    const { creditPackets } = this.#context.limits;
    if (this.#packets < creditPackets / 4) return;
    if (this.#target.queuedBytes <= MAX_TARGET_QUEUE_BYTES) this.#continue();
  }

  #continue(): void {
    this.#packets = 0;
    this.#context.link.send(encodeContinue(this.#id, this.#context.limits.creditPackets));
  }

  #endWhenBothDid(): void {
    if (this.#targetEnded && this.#clientEnded) this.#close(WispReason.voluntary);
  }

  #close(reason: number): void {
    if (this.#gone) return;
    this.#context.link.send(encodeClose(this.#id, reason));
    this.#leave();
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#connectTimer);
    this.#context.link.forget(this);
    this.#context.onGone(this.#id);
  }
}
