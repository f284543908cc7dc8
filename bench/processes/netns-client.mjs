// What is run in a network namespace to measure round trips: prints one number, how many of them a second.
//   netns-client requests HOST PORT COUNT BYTES   so many bytes each, one behind the other, a connection each
//   netns-client echoes HOST PORT COUNT           one byte there and back over one connection

import { once } from "node:events";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";

const [what, host, port, count, bodyBytes] = process.argv.slice(2);

/** The server closes, as web servers do without keep-alive: what then waits for TIME_WAIT to pass is the stack's. */
async function request() {
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.write(`${bodyBytes}\n`);
  socket.resume();
  await once(socket, "close");
}

async function echo(socket) {
  socket.write("x");
  await once(socket, "data");
}

const socket = what === "echoes" ? connect({ host, port: Number(port), noDelay: true }) : undefined;
if (socket) await once(socket, "connect");
const startMs = performance.now();
for (let i = 0; i < Number(count); i++) await (socket ? echo(socket) : request());
process.stdout.write(`${(Number(count) * 1000) / (performance.now() - startMs)}\n`);
socket?.destroy();
