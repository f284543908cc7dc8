/** The end of a program that a test started. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Kills it and waits for its end. Safe to call again, and for one that has ended by itself or never ran. */
export async function killChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
