/** Waits for something that becomes true some time, and says what it was when it does not. */
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;

/** @throws Error naming `what` when it is not so after `timeoutMs` (default: a minute) */
export async function waitUntil(
  what: string | (() => string),
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) {
      const text = typeof what === "string" ? what : what();
      throw new Error(`waited ${String(timeoutMs / 1000)} s in vain until ${text}`);
    }
    await sleep(POLL_MS);
  }
}
