// What is run in a network namespace to measure round trips: prints one number, how many of them a second.
//   netns-client gets HOST PORT COUNT     requests of HTTP, one behind the other, a connection each
//   netns-client echoes HOST PORT COUNT   one byte there and back over one connection

import { once } from "node:events";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";

const BODY_BYTES = 100;
const [what, host, port, count] = process.argv.slice(2);

async function get() {
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.write(`GET /${BODY_BYTES} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    text += chunk;
    // The server leaves it to us to close.
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0 && text.length >= end + 4 + BODY_BYTES) socket.end();
  });
  await once(socket, "close");
}

async function echo(socket) {
  socket.write("x");
  await once(socket, "data");
}

const socket = what === "echoes" ? connect({ host, port: Number(port), noDelay: true }) : undefined;
if (socket) await once(socket, "connect");
const startMs = performance.now();
for (let i = 0; i < Number(count); i++) await (socket ? echo(socket) : get());
process.stdout.write(`${(Number(count) * 1000) / (performance.now() - startMs)}\n`);
socket?.destroy();
