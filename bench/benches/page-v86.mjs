// A v86 guest in a page: through our stack and our relay, against v86's own wisp backend and the same relay. bench/README.md says
// what is fair about that.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PageSite } from "../../test/support/page-site.mjs";
import { Child } from "../support/child.mjs";
import { chromiumMissing, launchChromium } from "../support/chromium.mjs";
import { PageGuest } from "../support/page-guest.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const MIB = 1024 * 1024;
const FILE = "/tmp/upload";
/** v86 translates the guest's code anew for a while, as in Node. */
const WARM_UPS = 2;

export const description =
  "GET and PUT by a v86 guest in a page: our stack against v86's wisp backend";
export const defaultRounds = 5;

const image = fileURLToPath(new URL("../../build/guest/v86/image.json", import.meta.url));

export function missing() {
  if (!existsSync(image)) return "there is no guest image: run `npm run setup`";
  return chromiumMissing();
}

/** One transfer, timed by the server; answers MB/s. */
async function transfer({ server, guest }, command, method, bytes) {
  const [done] = await Promise.all([server.ask("nextTransfer"), guest.succeed(command)]);
  if (done.method !== method || done.bytes !== bytes) {
    throw new Error(`expected ${method} of ${bytes} bytes, saw ${JSON.stringify(done)}`);
  }
  return bytes / 1e6 / done.seconds;
}

/** The guest runs only while it is its turn: an idle one takes a third of a core. */
async function measureGuest(parts, port, bytes) {
  const { guest } = parts;
  await guest.setRunning(true);
  try {
    const url = `http://${guest.gateway}:${port}`;
    const get = `wget -q -O /dev/null ${url}/${bytes}`;
    const post = `wget -q -O /dev/null --post-file ${FILE} ${url}/`;
    return {
      "GET MB/s": await transfer(parts, get, "GET", bytes),
      "PUT MB/s": await transfer(parts, post, "POST", bytes),
    };
  } finally {
    await guest.setRunning(false);
  }
}

async function startGuest(browser, site, how, bytes) {
  const guest = await PageGuest.start(await browser.newPage(), site.url, how);
  // Letters, for busybox' wget posts a file up to its first zero byte.
  await guest.succeed(`head -c ${bytes} /dev/zero | tr '\\0' x >${FILE}`);
  await guest.setRunning(false);
  return guest;
}

export async function run({ rounds, progress, quick }) {
  const bytes = quick ? MIB : 20 * MIB;
  const server = new Child("traffic-server");
  const relay = new Child("relay-server", ["ours"]);
  const site = await PageSite.start();
  const browser = await launchChromium();
  try {
    const [ports, url] = await Promise.all([server.ask("listen"), relay.ask("listen")]);
    progress("restoring two guests");
    const starts = {
      "our stack": ["start", { slirp: { relay: url } }],
      "v86's wisp": ["startOnV86", url.replace(/^ws/, "wisp")],
    };
    const variants = {};
    for (const [name, how] of Object.entries(starts)) {
      const guest = await startGuest(browser, site, how, bytes);
      variants[name] = () => measureGuest({ server, guest }, ports.http, bytes);
    }
    const series = await measureInTurn({ rounds, warmUps: WARM_UPS, variants, progress });
    return { measures: ["GET", "PUT"].map((method) => toMeasure(series, method, bytes)) };
  } finally {
    await browser.close();
    await site.close();
    await Promise.all([server, relay].map((child) => child.stop()));
  }
}

function toMeasure(series, method, bytes) {
  const values = Object.fromEntries(
    Object.entries(series).map(([name, byKey]) => [name, byKey[`${method} MB/s`]]),
  );
  const ratios = [{ of: "our stack", to: "v86's wisp", target: { atLeast: 2 } }];
  return { what: `${method} of ${bytes / MIB} MiB`, unit: "MB/s", values, ratios };
}
