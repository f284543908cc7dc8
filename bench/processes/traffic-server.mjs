// The other side of every transfer: a server on 127.0.0.1, in a process of its own so that its work is nobody else's. One
// port a kind of traffic:
//   http    GET /BYTES answers so many bytes, POST takes whatever comes. Just enough of HTTP/1.1 for wget.
//   source  sends as many bytes as the number in the client's first line says, then FIN
//   sink    takes bytes until FIN, then answers how many those were
//   echo    sends back what it gets
//   idle    holds connections
// It clocks transfers from accepting the connection until the guest has closed it (GET, sink) or the body is complete
// (POST): starting a program in an emulated machine takes half a second that says nothing about a network.

import { createServer } from "node:net";
import { performance } from "node:perf_hooks";
import { answerRequests } from "../support/child.mjs";

const BLOCK = Buffer.alloc(256 * 1024, "slirp-wasm");
const BACKLOG = 4096;

const kinds = {
  http: serveHttp,
  source: serveSource,
  sink: serveSink,
  echo: serveEcho,
  idle: hold,
};

/** Transfers that are through, oldest first, and who waits for one. */
const transfers = [];
let whenTransferred;

function reportTransfer(transfer) {
  transfers.push(transfer);
  whenTransferred?.();
}

/** Writes `bytes` bytes as fast as they are taken, then calls `done`. */
function sendBytes(socket, bytes, done) {
  let left = bytes;
  const write = () => {
    while (left > 0) {
      const count = Math.min(left, BLOCK.length);
      left -= count;
      if (!socket.write(count === BLOCK.length ? BLOCK : BLOCK.subarray(0, count))) {
        socket.once("drain", write);
        return;
      }
    }
    done();
  };
  write();
}

function serveHttp(socket) {
  const startMs = performance.now();
  let head = "";
  let expected = -1;
  let received = 0;
  const takeBody = (length) => {
    received += length;
    if (expected < 0 || received < expected) return;
    reportTransfer({ method: "POST", bytes: received, seconds: secondsSince(startMs) });
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    expected = -1;
  };
  socket.on("data", (chunk) => {
    if (expected >= 0) {
      takeBody(chunk.length);
      return;
    }
    head += chunk.toString("latin1");
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    const get = /^GET \/(\d+) /.exec(head);
    if (get) {
      answerGet(socket, Number(get[1]), startMs);
      return;
    }
    expected = Number(/\r\nContent-Length: *(\d+)/i.exec(head)?.[1] ?? 0);
    takeBody(head.length - end - 4);
  });
}

/** The guest closes when it has got everything: that is when the transfer has ended, and not when the kernel took it. */
function answerGet(socket, bytes, startMs) {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n`);
  sendBytes(socket, bytes, () => {});
  socket.once("end", () => {
    reportTransfer({ method: "GET", bytes, seconds: secondsSince(startMs) });
    socket.end();
  });
}

function secondsSince(startMs) {
  return (performance.now() - startMs) / 1000;
}

function serveSource(socket) {
  socket.once("data", (line) => sendBytes(socket, Number.parseInt(line, 10), () => socket.end()));
}

function serveSink(socket) {
  const startMs = performance.now();
  let bytes = 0;
  socket.on("data", (chunk) => (bytes += chunk.length));
  socket.once("end", () => {
    reportTransfer({ method: "sink", bytes, seconds: secondsSince(startMs) });
    socket.end(`${bytes}\n`);
  });
}

function serveEcho(socket) {
  socket.setNoDelay(true);
  socket.on("data", (chunk) => socket.write(chunk));
  socket.once("end", () => socket.end());
}

function hold(socket) {
  socket.resume();
  socket.once("end", () => socket.end());
}

async function listen(serve) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // A guest that is taken down resets what it had open.
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0, backlog: BACKLOG }, resolve);
  });
  return server.address().port;
}

answerRequests({
  /** Listens; answers the ports by kind. */
  listen: async () => {
    const ports = {};
    for (const [kind, serve] of Object.entries(kinds)) ports[kind] = await listen(serve);
    return ports;
  },
  /** The next transfer (http, sink) that has ended: `{ method, bytes, seconds }`. */
  nextTransfer: async () => {
    while (transfers.length === 0) await new Promise((resolve) => (whenTransferred = resolve));
    return transfers.shift();
  },
});
