// Our relay against wisp-js' server: one client, a stream each way, 200 streams at once, and opening streams one after the
// other. Client, relay and server have a process each.

import { performance } from "node:perf_hooks";
import { Child } from "../support/child.mjs";
import { measureInTurn } from "../support/rounds.mjs";
import { WispClient } from "../support/wisp-client.mjs";

const BYTES = 400 * 1024 * 1024;
const MANY = 200;
/** Of all of them together. */
const MANY_BYTES = 64 * 1024 * 1024;
/** wisp-js loses the ends of streams when much backs up: they are not waited for longer. */
const MANY_TIMEOUT_MS = 5000;
const OPENINGS = 300;
const PIECE = new Uint8Array(60_000);

export const description = "our relay against wisp-js: one stream, 200 streams, opening a stream";
export const defaultRounds = 5;

const secondsSince = (startMs) => (performance.now() - startMs) / 1000;

async function receiveAll(client, stream, bytes) {
  while (stream.received < bytes) {
    if (stream.ended) throw new Error(`the relay ended a stream at ${stream.received} bytes`);
    await client.news(stream);
  }
}

/** MB/s of one stream that downloads. */
async function download(client, port) {
  const startMs = performance.now();
  const stream = client.connect(port);
  client.send(stream, Buffer.from(`${BYTES}\n`));
  await receiveAll(client, stream, BYTES);
  return BYTES / 1e6 / secondsSince(startMs);
}

/** MB/s of many streams that download together, and how many of them got everything. */
async function downloadMany(client, port) {
  const each = Math.floor(MANY_BYTES / MANY);
  const startMs = performance.now();
  let lastMs = startMs;
  const streams = Array.from({ length: MANY }, () => client.connect(port));
  const all = streams.map(async (stream) => {
    client.send(stream, Buffer.from(`${each}\n`));
    await receiveAll(client, stream, each).catch(() => {});
    lastMs = performance.now();
  });
  const late = new Promise((resolve) => setTimeout(resolve, MANY_TIMEOUT_MS));
  await Promise.race([Promise.all(all), late]);
  const received = streams.reduce((sum, stream) => sum + stream.received, 0);
  return {
    rate: received / 1e6 / ((lastMs - startMs) / 1000),
    whole: streams.filter((stream) => stream.received >= each).length,
  };
}

/** MB/s of one stream that uploads: until the server, which echoes one byte behind all, has it. */
async function upload(client, port) {
  const stream = client.connect(port);
  const startMs = performance.now();
  let sent = 0;
  while (sent < BYTES) {
    if (stream.credits <= 0) {
      await client.news(stream);
    } else if (client.isFull) {
      await new Promise((resolve) => setImmediate(resolve));
    } else {
      client.send(stream, PIECE);
      sent += PIECE.length;
    }
  }
  // The server sends back all that it gets; when as much is back, all of it was there.
  await receiveAll(client, stream, sent);
  client.endStream(stream);
  return sent / 1e6 / secondsSince(startMs);
}

/** Milliseconds to open a stream and have a byte echoed. */
async function openings(client, port) {
  const startMs = performance.now();
  for (let i = 0; i < OPENINGS; i++) {
    const stream = client.connect(port);
    client.send(stream, PIECE.subarray(0, 1));
    await receiveAll(client, stream, 1);
    client.endStream(stream);
  }
  return (secondsSince(startMs) * 1000) / OPENINGS;
}

async function measureRelay(relay, url, ports) {
  const client = await WispClient.open(url);
  try {
    const cpuBefore = await relay.ask("cpuSeconds");
    const down = await download(client, ports.source);
    const cpu = (await relay.ask("cpuSeconds")) - cpuBefore;
    const echo = await upload(client, ports.echo);
    const opening = await openings(client, ports.echo);
    const many = await downloadMany(client, ports.source);
    return {
      "download MB/s": down,
      "download CPU s/GB": cpu / (BYTES / 1e9),
      "echo MB/s": echo,
      "opening a stream, to the first byte back ms": opening,
      [`download by ${MANY} streams MB/s`]: many.rate,
      [`streams of ${MANY} that got everything count`]: many.whole,
    };
  } finally {
    client.close();
  }
}

export async function run({ rounds, progress }) {
  const server = new Child("traffic-server");
  const relays = {
    "our relay": new Child("relay-server", ["ours"]),
    "wisp-js": new Child("relay-server", ["wisp-js"]),
  };
  try {
    const ports = await server.ask("listen");
    const variants = {};
    for (const [name, relay] of Object.entries(relays)) {
      const url = await relay.ask("listen");
      variants[name] = () => measureRelay(relay, url, ports);
    }
    return { measures: toMeasures(await measureInTurn({ rounds, variants, progress })) };
  } finally {
    await Promise.all([server, ...Object.values(relays)].map((child) => child.stop()));
  }
}

function toMeasures(series) {
  const [first] = Object.values(series);
  return Object.keys(first).map((key) => {
    const [, what, unit] = /^(.*) (MB\/s|CPU s\/GB|ms|count)$/.exec(key);
    const values = Object.fromEntries(
      Object.entries(series).map(([variant, byName]) => [variant, byName[key]]),
    );
    const target = key === "download MB/s" ? { atLeast: 1.5 } : undefined;
    const ratio = { of: "our relay", to: "wisp-js" };
    return { what, unit, values, ratios: [target ? { ...ratio, target } : ratio] };
  });
}
