// How long a person waits for the demo page: from opening its address to the guest's prompt.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { chromiumMissing, launchChromium } from "../support/chromium.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const PROMPT_TIMEOUT_MS = 300_000;

export const description = "seconds from opening the demo page to the guest's prompt";
export const defaultRounds = 5;

export function missing() {
  const needed = ["build/demo/index.html", "build/guest/v86/state-virtio.json"];
  const absent = needed.find((name) => !existsSync(path(name)));
  return absent === undefined ? chromiumMissing() : `there is no ${absent}: run \`npm run setup\``;
}

/** `slirp-wasm demo` in a process of its own; answers its URL and how to end it. */
async function startDemo() {
  const child = spawn(
    process.execPath,
    [path("dist/cli/main.js"), "demo", "--listen", "127.0.0.1:0"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const ended = once(child, "exit");
  const [url] = await once(createInterface({ input: child.stdout }), "line");
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** The examples are shown when the prompt is there. */
async function openPage(context, url) {
  const page = await context.newPage();
  const startMs = performance.now();
  await page.goto(url);
  await page.locator("#examples button").first().waitFor({ timeout: PROMPT_TIMEOUT_MS });
  const seconds = (performance.now() - startMs) / 1000;
  await page.close();
  return { "to the prompt s": seconds };
}

export async function run({ rounds, progress }) {
  const demo = await startDemo();
  const browser = await launchChromium();
  try {
    const known = await browser.newContext();
    const variants = {
      "for the first time": async () => {
        const context = await browser.newContext();
        const values = await openPage(context, demo.url);
        await context.close();
        return values;
      },
      again: () => openPage(known, demo.url),
    };
    const series = await measureInTurn({ rounds, variants, progress });
    const values = Object.fromEntries(
      Object.entries(series).map(([name, byKey]) => [name, byKey["to the prompt s"]]),
    );
    return { measures: [{ what: "from opening the page to the prompt", unit: "s", values }] };
  } finally {
    await browser.close();
    await demo.stop();
  }
}
