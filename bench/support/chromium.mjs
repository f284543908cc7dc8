// Debian's Chromium, for benchmarks of pages.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PATH = "/usr/bin/chromium";

/** Why there is none, for a benchmark's `missing`. */
export function chromiumMissing() {
  return existsSync(PATH) ? undefined : `${PATH} is not there (Debian package chromium)`;
}

export function launchChromium() {
  return chromium.launch({
    executablePath: PATH,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
}
