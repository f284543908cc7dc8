// A stack with a raw guest (support/raw-guest.mjs) on it, in one process: what is measured in this process is the stack.
//   raw-stack.mjs [MTU [offloads]]

import { performance } from "node:perf_hooks";
import { createSlirp } from "../../dist/node.js";
import { answerRequests, cpuSeconds } from "../support/child.mjs";
import { RawGuest } from "../support/raw-guest.mjs";

/** Handshakes under way at a time: fewer than a listener's backlog. */
const CONNECTING_AT_ONCE = 200;

const mtuBytes = Number(process.argv[2] ?? 1500);
const slirp = await createSlirp({ slirp: { mtuBytes } });
const guest = new RawGuest(slirp, { mtuBytes, offloads: process.argv[3] === "offloads" });
await guest.findGateway();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Bytes a second and processor seconds a byte of what `transfer` does; it answers how many bytes that was. */
async function measure(transfer) {
  const startMs = performance.now();
  const cpuBefore = cpuSeconds();
  const bytes = await transfer();
  const seconds = (performance.now() - startMs) / 1000;
  return { bytes, seconds, cpuSeconds: cpuSeconds() - cpuBefore };
}

function connectAll(port, count) {
  return Promise.all(Array.from({ length: count }, () => guest.connect(port)));
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

async function download(port, seconds, count) {
  const connections = await connectAll(port, count);
  return measure(async () => {
    for (const connection of connections) connection.sendText(`${Number.MAX_SAFE_INTEGER}\n`);
    await sleep(seconds * 1000);
    for (const connection of connections) connection.abort();
    return sum(connections.map(({ bytesReceived }) => bytesReceived));
  });
}

/** Counted are the bytes that the server acknowledges by its own count, once it has all. */
async function upload(port, seconds, count) {
  const connections = await connectAll(port, count);
  return measure(async () => {
    for (const connection of connections) connection.sendWithoutEnd();
    await sleep(seconds * 1000);
    for (const connection of connections) connection.finish();
    await Promise.all(connections.map(({ ended }) => ended));
    return sum(connections.map(({ bytesSent }) => bytesSent));
  });
}

async function connectIdle(port, count) {
  for (let left = count; left > 0; left -= CONNECTING_AT_ONCE) {
    await connectAll(port, Math.min(left, CONNECTING_AT_ONCE));
  }
  return slirp.memoryBytes;
}

/** Connections that `echo` uses, by how many those are. */
const active = new Map();

/** So many round trips of one byte, one after the other, each on the next of the active connections. */
async function echo(port, trips, activeCount) {
  if (!active.has(activeCount)) active.set(activeCount, await connectAll(port, activeCount));
  const connections = active.get(activeCount);
  return measure(
    () =>
      new Promise((resolve) => {
        let trip = 0;
        const next = () => {
          if (trip === trips) resolve(trips);
          else connections[trip++ % connections.length].sendBytes(1);
        };
        for (const connection of connections) connection.onBytes = next;
        next();
      }),
  );
}

answerRequests({
  download,
  upload,
  connectIdle,
  echo,
  /** libslirp's own walk over all sockets instead of the list of ready ones. */
  useWalk: (use) => {
    slirp.stack.turnByWalk = use;
  },
  statistics: () => slirp.statistics(),
});
