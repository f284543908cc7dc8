// The page of the benchmark `page`: transfers through a stack in the page and the relay, by a guest of some hundred lines of
// JavaScript, and the same by a bare WebSocket. The benchmark calls what `globalThis.bench` has.

import { createSlirp } from "slirp-wasm/browser";
import { RawGuest } from "../support/raw-guest.mjs";
import { BareWebSocket } from "./bare-web-socket.mjs";

let guest;

const secondsSince = (startMs) => (performance.now() - startMs) / 1000;

async function connect(port) {
  return guest.connect(port);
}

function checkBytes(expected, got) {
  if (got !== expected) throw new Error(`${got} bytes instead of ${expected}`);
}

/** Ports are those of bench/processes/traffic-server.mjs. Transfers answer seconds. */
const slirp = {
  async download({ source }, bytes) {
    const connection = await connect(source);
    const startMs = performance.now();
    connection.sendText(`${bytes}\n`);
    await connection.ended;
    const seconds = secondsSince(startMs);
    connection.finish();
    checkBytes(bytes, connection.bytesReceived);
    return seconds;
  },

  /** Until the server has said that it has all. */
  async upload({ sink }, bytes) {
    const connection = await connect(sink);
    const startMs = performance.now();
    connection.sendBytes(bytes);
    connection.finish();
    await connection.ended;
    checkBytes(`${bytes}\n`.length, connection.bytesReceived);
    return secondsSince(startMs);
  },

  /** Connects, sends a byte and has it back, so many times; answers seconds for all. */
  async open({ echo }, times) {
    const startMs = performance.now();
    for (let i = 0; i < times; i++) {
      const connection = await connect(echo);
      const answered = new Promise((resolve) => (connection.onBytes = resolve));
      connection.sendBytes(1);
      await answered;
      connection.finish();
    }
    return secondsSince(startMs);
  },
};

/** The server is bench/processes/web-socket-server.mjs. The WebSocket is open before a transfer is timed, as the relay's is. */
const bare = {
  async download({ webSocket }, bytes) {
    using socket = await BareWebSocket.open(webSocket);
    const startMs = performance.now();
    await socket.get(bytes);
    return secondsSince(startMs);
  },

  async upload({ webSocket }, bytes) {
    using socket = await BareWebSocket.open(webSocket);
    const startMs = performance.now();
    await socket.put(bytes);
    return secondsSince(startMs);
  },

  async open({ webSocket }, times) {
    const startMs = performance.now();
    for (let i = 0; i < times; i++) {
      using socket = await BareWebSocket.open(webSocket);
      await socket.get(1);
    }
    return secondsSince(startMs);
  },
};

globalThis.bench = {
  slirp,
  bare,
  async start(relay) {
    guest = new RawGuest(await createSlirp({ relay }));
    await guest.findGateway();
  },
};
