/**
 * UDP streams of a Wisp session: a connected socket of the relay each, so that only the address that was asked can answer. One DATA is one
 * datagram; there are no credits. What cannot be sent is lost, as UDP has it.
 */
import { createSocket, type Socket } from "node:dgram";
import { encodeClose, encodeContinue, encodeData, WispReason } from "../wisp.js";
import { reasonOfError } from "./dial.js";
import type { RelayStream, StreamContext } from "./tcp-stream.js";

/** Datagrams that a client sends before the socket is connected, which takes no time but a turn. */
const MAX_WAITING = 32;

/** See the top of the file. */
export class UdpStream implements RelayStream {
  readonly #context: StreamContext;
  readonly #id: number;
  readonly #socket: Socket;
  readonly #idle: NodeJS.Timeout;
  #waiting: Buffer[] | undefined = [];
  #gone = false;

  constructor(
    context: StreamContext,
    id: number,
    target: { readonly address: string; readonly family: 4 | 6; readonly port: number },
  ) {
    this.#context = context;
    this.#id = id;
    this.#socket = createSocket(target.family === 6 ? "udp6" : "udp4");
    this.#idle = setTimeout(() => {
      this.#close(WispReason.transferTimeout);
    }, context.limits.udpIdleTimeoutMs);
    this.#socket.on("message", (message) => {
      this.#idle.refresh();
      // A full WebSocket loses datagrams, as a full link does.
      this.#context.link.sendOrDrop(encodeData(id, message));
    });
    this.#socket.on("error", (error) => {
      this.#close(reasonOfError(error));
    });
    this.#socket.connect(target.port, target.address, (error?: Error) => {
      if (error) this.#close(reasonOfError(error));
      else this.#onConnected();
    });
  }

  receive(payload: Buffer): void {
    if (this.#gone) return;
    this.#idle.refresh();
    if (!this.#waiting) this.#send(payload);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(payload);
  }

  grant(): void {
    // Datagrams have no window.
  }

  endByClient(): void {
    this.#leave();
  }

  abandon(): void {
    this.#leave();
  }

  #onConnected(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    if (this.#gone) return;
    if (this.#context.confirmsOpen) {
      this.#context.link.send(encodeContinue(this.#id, this.#context.limits.creditPackets));
    }
    for (const payload of waiting) this.#send(payload);
  }

  #send(payload: Buffer): void {
    // Refused, too long, no buffer left: the datagram is lost, and the next may not be.
    this.#socket.send(payload, () => undefined);
  }

  #close(reason: number): void {
    if (this.#gone) return;
    this.#context.link.send(encodeClose(this.#id, reason));
    this.#leave();
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#idle);
    this.#socket.close();
    this.#context.onGone(this.#id);
  }
}
