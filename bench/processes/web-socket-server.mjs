// The other end of a bare WebSocket: `get BYTES` is answered by so many, `put BYTES` by "done" once so many have come.

import { once } from "node:events";
import { WebSocketServer } from "ws";
import { answerRequests } from "../support/child.mjs";

/** As large as what our relay reads and passes on in one go. */
const MESSAGE = Buffer.alloc(60_000, "slirp-wasm");
const FULL_BYTES = 1024 * 1024;

async function send(socket, bytes) {
  for (let left = bytes; left > 0; left -= MESSAGE.length) {
    const message = left < MESSAGE.length ? MESSAGE.subarray(0, left) : MESSAGE;
    if (socket.bufferedAmount < FULL_BYTES) socket.send(message);
    else await new Promise((resolve) => socket.send(message, resolve));
  }
}

function serve(socket) {
  let left = 0;
  socket.on("message", (message, isBinary) => {
    if (isBinary) {
      left -= message.length;
      if (left === 0) socket.send("done");
      return;
    }
    const [verb, bytes] = message.toString().split(" ");
    if (verb === "get") void send(socket, Number(bytes));
    else left = Number(bytes);
  });
  socket.on("error", () => {});
}

async function listen() {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  server.on("connection", serve);
  await once(server, "listening");
  return `ws://127.0.0.1:${server.address().port}/`;
}

answerRequests({ listen });
