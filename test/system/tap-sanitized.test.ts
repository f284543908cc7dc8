/** The addon for TAPs under the sanitizers: its suites, worker threads and ends of processes among them. */
import { afterAll, beforeAll, expect, it, type TestContext } from "vitest";
import { whyNoTap } from "../support/network-namespace.js";
import { SanitizedAddon, whyNoSanitizers } from "../support/sanitized-addon.js";

const TIMEOUT_MS = 600_000;

/** What exercises every function of the addon. */
const SUITES = ["tap-life", "tap-queues", "tap-opening", "tap-vhost"].map(
  (name) => `test/backends/${name}.test.ts`,
);

const missing = whyNoTap() ?? whyNoSanitizers();
let addon: SanitizedAddon;

function skipWithout(ctx: TestContext): void {
  if (missing !== undefined) ctx.skip(missing);
}

beforeAll(async () => {
  if (missing === undefined) addon = await SanitizedAddon.build("tap");
}, TIMEOUT_MS);

afterAll(() => {
  if (missing === undefined) addon.remove();
});

it(
  "passes its suites without a word from the sanitizers",
  async (ctx) => {
    skipWithout(ctx);
    const ended = await addon.runSuites(SUITES);
    expect(addon.reports).toBe("");
    expect(ended.stdout, ended.stderr).toMatch(/Test Files {2}4 passed \(4\)/);
  },
  TIMEOUT_MS,
);

it(
  "leaks nothing of its own",
  async (ctx) => {
    skipWithout(ctx);
    const script = `
      const { openTap } = await import("./dist/tap.js");
      for (let round = 0; round < 20; round++) {
        const tap = await openTap({ name: "tap0", up: true });
        tap.callbacks = { onFrames() {} };
        tap.enableReceive();
        await tap.close();
      }
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      console.log("done");`;
    const ended = await addon.runForLeaks(script, "unshare", "--net");
    expect(ended.stdout).toBe("done\n");
    expect(addon.ownReports).toEqual([]);
  },
  TIMEOUT_MS,
);
