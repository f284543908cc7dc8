// A v86 guest's transfers through our stack against those through v86's own wisp backend.
//
// Processes: v86 in one (with our stack in it, or with its wisp backend), the HTTP server in another; the wisp server, which
// our stack does without, in a third. bench/README.md says what is fair about that and what is not.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Child } from "../support/child.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const BYTES = 20 * 1024 * 1024;
/** Both machines translate the guest's code anew for a while; after a minute of it the figures stand still. */
const WARM_UPS = 3;
const FILE = "/tmp/upload";
/** Letters, for busybox' wget posts a file up to its first zero byte. */
const MAKE_FILE = `head -c ${BYTES} /dev/zero | tr '\\0' x >${FILE}`;

export const description =
  "20 MiB GET and PUT by a v86 guest: our stack against v86's wisp backend";
export const defaultRounds = 7;

const image = fileURLToPath(new URL("../../build/guest/v86/image.json", import.meta.url));

export function missing() {
  return existsSync(image) ? undefined : "there is no guest image: run `npm run setup`";
}

/** One transfer, timed by the server; processor time of each process that has a part in it. */
async function transfer({ guest, server, relay }, command, method) {
  const cpu = () => Promise.all([guest, relay].map((child) => child?.ask("cpuSeconds") ?? 0));
  const before = await cpu();
  const [done] = await Promise.all([server.ask("nextTransfer"), guest.ask("run", command)]);
  const after = await cpu();
  if (done.method !== method || done.bytes !== BYTES) {
    throw new Error(`expected ${method} of ${BYTES} bytes, saw ${JSON.stringify(done)}`);
  }
  return { rate: BYTES / 1e6 / done.seconds, cpu: after.map((value, i) => value - before[i]) };
}

async function measureGuest(parts, port) {
  const url = `http://${await parts.guest.ask("gateway")}:${port}`;
  const get = await transfer(parts, `wget -q -O /dev/null ${url}/${BYTES}`, "GET");
  const post = await transfer(parts, `wget -q -O /dev/null --post-file ${FILE} ${url}/`, "POST");
  return {
    "GET MB/s": get.rate,
    "PUT MB/s": post.rate,
    "GET guest CPU s": get.cpu[0],
    "PUT guest CPU s": post.cpu[0],
    "GET relay CPU s": get.cpu[1],
    "PUT relay CPU s": post.cpu[1],
  };
}

export async function run({ rounds, progress }) {
  const children = [];
  const start = (...parameters) => {
    children.push(new Child(...parameters));
    return children.at(-1);
  };
  try {
    const server = start("traffic-server");
    const relay = start("wisp-server");
    const [ports, url] = await Promise.all([server.ask("listen"), relay.ask("listen")]);
    progress("restoring two guests");
    const ours = { server, guest: start("v86-guest", ["slirp"]) };
    const wisp = { server, relay, guest: start("v86-guest", ["wisp", url]) };
    for (const { guest } of [ours, wisp]) {
      await guest.ask("run", MAKE_FILE);
    }
    const variants = {
      "our stack": () => measureGuest(ours, ports.http),
      wisp: () => measureGuest(wisp, ports.http),
    };
    return {
      measures: toMeasures(await measureInTurn({ rounds, warmUps: WARM_UPS, variants, progress })),
    };
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}

function toMeasures(series) {
  const pick = (key) =>
    Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values[key]]));
  const rate = { ratios: [{ of: "our stack", to: "wisp", target: { atLeast: 2 } }] };
  const cpu = { ratios: [{ of: "our stack", to: "wisp" }] };
  return [
    { what: "GET of 20 MiB", unit: "MB/s", values: pick("GET MB/s"), ...rate },
    { what: "PUT of 20 MiB", unit: "MB/s", values: pick("PUT MB/s"), ...rate },
    {
      what: "GET, processor time of v86's process",
      unit: "s",
      values: pick("GET guest CPU s"),
      ...cpu,
    },
    {
      what: "PUT, processor time of v86's process",
      unit: "s",
      values: pick("PUT guest CPU s"),
      ...cpu,
    },
    {
      what: "GET, processor time of the wisp server",
      unit: "s",
      values: { wisp: series.wisp["GET relay CPU s"] },
    },
    {
      what: "PUT, processor time of the wisp server",
      unit: "s",
      values: { wisp: series.wisp["PUT relay CPU s"] },
    },
  ];
}
