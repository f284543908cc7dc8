/* global WebSocket */
// A WebSocket that gets and puts bytes, as a page does that has nothing else to do with them.

/** What our own host network puts into a message at most. */
const MESSAGE = new Uint8Array(60_000);
/** Not more waits in the WebSocket: a page that sends without looking would fill the memory. */
const FULL_BYTES = 4 * 1024 * 1024;

export class BareWebSocket {
  #socket;
  #onMessage;

  static async open(url) {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`${url} could not be opened`));
    });
    return new BareWebSocket(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#onMessage(data);
  }

  async get(bytes) {
    let left = bytes;
    const all = new Promise((resolve) => {
      this.#onMessage = (data) => {
        left -= data.byteLength;
        if (left === 0) resolve();
      };
    });
    this.#socket.send(`get ${bytes}`);
    await all;
  }

  async put(bytes) {
    const told = new Promise((resolve) => (this.#onMessage = resolve));
    this.#socket.send(`put ${bytes}`);
    for (let left = bytes; left > 0; left -= MESSAGE.length) {
      while (this.#socket.bufferedAmount > FULL_BYTES) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      this.#socket.send(left < MESSAGE.length ? MESSAGE.subarray(0, left) : MESSAGE);
    }
    await told;
  }

  [Symbol.dispose]() {
    this.#socket.onmessage = null;
    this.#socket.close();
  }
}
