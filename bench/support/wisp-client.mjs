// A client that speaks Wisp version 1 and does nothing else: what is measured through it is the relay.

import { WebSocket } from "ws";
import { encodeClose, encodeConnect, encodeData, WispType } from "../../dist/wisp.js";

const TCP = 1;

export class WispClient {
  #socket;
  #streams = new Map();
  #nextId = 1;
  #window = 0;

  /** Fulfilled when the handshake is done. */
  static async open(url) {
    const client = new WispClient();
    client.#socket = new WebSocket(url, { perMessageDeflate: false });
    await new Promise((resolve, reject) => {
      client.#socket.once("error", reject);
      client.#socket.on("message", (message) => {
        client.#receive(message, resolve);
      });
    });
    return client;
  }

  /** Connects to a port of 127.0.0.1. */
  connect(port) {
    const id = this.#nextId++;
    const stream = { id, received: 0, credits: this.#window, wake: undefined, ended: false };
    this.#streams.set(id, stream);
    this.#socket.send(encodeConnect(id, TCP, "127.0.0.1", port));
    return stream;
  }

  send(stream, bytes) {
    stream.credits--;
    this.#socket.send(encodeData(stream.id, bytes));
  }

  /** Fulfilled once something came for the stream. */
  async news(stream) {
    await new Promise((resolve) => (stream.wake = resolve));
  }

  /** Whether so much waits to be sent that it should be waited for. */
  get isFull() {
    return this.#socket.bufferedAmount > 4 * 1024 * 1024;
  }

  endStream(stream) {
    this.#streams.delete(stream.id);
    this.#socket.send(encodeClose(stream.id, 2));
  }

  close() {
    this.#socket.terminate();
  }

  #receive(message, onOpen) {
    const type = message[0];
    const id = message.readUInt32LE(1);
    if (type === WispType.continue && id === 0) {
      this.#window = message.readUInt32LE(5);
      onOpen();
      return;
    }
    const stream = this.#streams.get(id);
    if (!stream) return;
    if (type === WispType.data) stream.received += message.length - 5;
    else if (type === WispType.continue) stream.credits = message.readUInt32LE(5);
    else stream.ended = true;
    stream.wake?.();
  }
}
