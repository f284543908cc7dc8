// One TCP stream through the stack in a page and our relay, against a bare WebSocket of the same page that carries the same bytes
// to the same machine; what opening a stream costs; what a page must load for it.
//
// Processes: the browser's, the relay, the server of TCP, the server of WebSockets.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundleSite, PageSite } from "../../test/support/page-site.mjs";
import { Child } from "../support/child.mjs";
import { chromiumMissing, launchChromium } from "../support/chromium.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const MIB = 1024 * 1024;

export const description = "a page's stream through stack and relay, against a bare WebSocket";
export const defaultRounds = 7;
export const missing = chromiumMissing;

const folder = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** Processor time of the page's process so far, seconds. */
async function processSeconds(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "ProcessTime").value;
}

/** One round of one of the two, `slirp` or `bare`. */
async function measure({ page, session, ports }, which, { bytes, openings }) {
  const ask = (what, amount) =>
    page.evaluate(
      ([variant, verb, parameters]) => globalThis.bench[variant][verb](...parameters),
      [which, what, [ports, amount]],
    );
  const transfer = async (what) => {
    const before = await processSeconds(session);
    const seconds = await ask(what, bytes);
    const cpuSeconds = (await processSeconds(session)) - before;
    return {
      [`${what}, MB/s`]: bytes / 1e6 / seconds,
      [`${what}, processor time of the page, s/GB`]: cpuSeconds / (bytes / 1e9),
    };
  };
  return {
    ...(await transfer("download")),
    ...(await transfer("upload")),
    "opening a stream, to the first byte back, ms":
      ((await ask("open", openings)) * 1000) / openings,
  };
}

export async function run({ rounds, progress, quick }) {
  const amounts = quick ? { bytes: 4 * MIB, openings: 10 } : { bytes: 200 * MIB, openings: 200 };
  const server = new Child("traffic-server");
  const relay = new Child("relay-server", ["ours"]);
  const webSocketServer = new Child("web-socket-server");
  const site = await PageSite.start(folder("page"));
  const browser = await launchChromium();
  try {
    const [ports, relayUrl, webSocket] = await Promise.all([
      server.ask("listen"),
      relay.ask("listen"),
      webSocketServer.ask("listen"),
    ]);
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.evaluate((url) => globalThis.bench.start(url), relayUrl);
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    const parts = { page, session, ports: { ...ports, webSocket } };
    const variants = {
      "stack and relay": () => measure(parts, "slirp", amounts),
      "bare WebSocket": () => measure(parts, "bare", amounts),
    };
    const series = await measureInTurn({ rounds, warmUps: 2, variants, progress });
    return { measures: [...toMeasures(series), ...(await measureSizes())] };
  } finally {
    await browser.close();
    await site.close();
    await Promise.all([server, relay, webSocketServer].map((child) => child.stop()));
  }
}

function toMeasures(series) {
  const [first] = Object.values(series);
  return Object.keys(first).map((key) => {
    const [, what, unit] = /^(.*), (MB\/s|s\/GB|ms)$/.exec(key);
    const values = Object.fromEntries(
      Object.entries(series).map(([variant, byName]) => [variant, byName[key]]),
    );
    const target = unit === "MB/s" ? { atLeast: 0.7 } : undefined;
    const ratio = { of: "stack and relay", to: "bare WebSocket" };
    return { what, unit, values, ratios: [target ? { ...ratio, target } : ratio] };
  });
}

/** Of a page of ten lines, as Vite builds it: what its HTML names, and the module. What is loaded only when it is wanted is left out. */
async function measureSizes() {
  const files = await bundleSite(folder("page-minimal"), true);
  const html = String(files.get("/index.html"));
  const kinds = {
    JavaScript: (name) => name.endsWith(".js") && html.includes(name),
    module: (name) => name.endsWith(".wasm"),
  };
  const sizes = Object.entries(kinds).map(([kind, isOfKind]) => {
    const contents = [...files].filter(([name]) => isOfKind(name)).map(([, content]) => content);
    return [
      kind,
      contents.reduce((sum, content) => sum + Buffer.byteLength(content), 0),
      contents.reduce((sum, content) => sum + gzipSync(content, { level: 9 }).length, 0),
    ];
  });
  const columns = { bytes: 1, "bytes gzipped": 2 };
  return Object.entries(columns).map(([unit, column]) => ({
    what: "what a minimal page loads",
    unit,
    values: {
      ...Object.fromEntries(sizes.map((size) => [size[0], [size[column]]])),
      "in all": [sizes.reduce((sum, size) => sum + size[column], 0)],
    },
  }));
}
