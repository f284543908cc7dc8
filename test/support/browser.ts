/** Debian's Chromium, driven by Playwright. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext } from "playwright-core";
import { waitUntil } from "./wait-until.js";

const CHROMIUM = "/usr/bin/chromium";

/** Why there is no browser here, for `ctx.skip`; undefined when there is. */
export function browserMissing(): string | undefined {
  return existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is not there (Debian package chromium)`;
}

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
}

/** A browser that has just started on a busy machine answers late. */
const CONNECT_TIMEOUT_MS = 120_000;

/** A browser that Playwright has left as it is; see {@link launchPlainBrowser}. */
export interface PlainBrowser extends AsyncDisposable {
  readonly context: BrowserContext;
}

/**
 * The browser as people have it: a tab behind another one is hidden, and its timers come once a second. Playwright's own lets every
 * page believe that it is seen, and throttles nothing.
 */
export async function launchPlainBrowser(): Promise<PlainBrowser> {
  const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-browser-"));
  const child = spawn(
    CHROMIUM,
    ["--headless", "--remote-debugging-port=0", `--user-data-dir=${folder}`, ...ARGUMENTS],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const url = (): string | undefined => /^DevTools listening on (\S+)\s/m.exec(said)?.[1];
  const end = async (): Promise<void> => {
    const ended = once(child, "exit");
    kill();
    await ended;
    process.off("exit", kill);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await waitUntil("the browser listens", () => url() !== undefined);
    const browser = await chromium.connectOverCDP(url() ?? "", {
      noDefaults: true,
      timeout: CONNECT_TIMEOUT_MS,
    });
    const [context] = browser.contexts();
    if (!context) throw new Error("the browser has no context");
    return {
      context,
      async [Symbol.asyncDispose]() {
        await end();
        await browser.close();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}
