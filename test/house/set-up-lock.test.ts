/**
 * Two set-ups of one checkout take turns, and one that was killed does not block those after it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { acquireLock } from "../../scripts/set-up/lock.mjs";
import { makeScratch, ROOT, runProgram } from "./scratch.js";

const ignore = (): void => undefined;

/** Starts a process that takes the lock and then does as the script says. */
function holderScript(path: string, then: string): string {
  const lock = join(ROOT, "scripts/set-up/lock.mjs");
  return `
    import { acquireLock } from ${JSON.stringify(lock)};
    const release = await acquireLock(${JSON.stringify(path)}, () => {});
    ${then}`;
}

describe("set-up's lock", () => {
  it("is given back, and can be given back twice", async () => {
    const path = join(makeScratch(), "build/lock");
    const release = await acquireLock(path, ignore);
    expect(existsSync(path)).toBe(true);
    release();
    release();
    expect(existsSync(path)).toBe(false);
  });

  it("makes the second wait for the first, and says for whom", async () => {
    const path = join(makeScratch(), "lock");
    const script = holderScript(
      path,
      `process.stdin.once("data", () => { release(); process.exit(); });
      console.log("held");`,
    );
    const holder = spawn(process.execPath, ["--input-type=module", "-e", script]);
    try {
      await once(holder.stdout, "data");
      const waitedFor: number[] = [];
      const acquired = acquireLock(path, (pid) => waitedFor.push(pid));
      await expect.poll(() => waitedFor).toEqual([holder.pid]);
      holder.stdin.write("go on\n");
      (await acquired)();
    } finally {
      holder.kill();
    }
  });

  it("is taken over when its holder was killed", async () => {
    const path = join(makeScratch(), "lock");
    const script = holderScript(path, `process.kill(process.pid, "SIGKILL");`);
    const holder = spawn(process.execPath, ["--input-type=module", "-e", script]);
    await once(holder, "exit");
    expect(existsSync(path)).toBe(true);
    const release = await acquireLock(path, ignore);
    release();
  });

  it("is taken over when another process has the holder's id by now", async () => {
    const path = join(makeScratch(), "lock");
    const pid = process.pid;
    writeFileSync(path, JSON.stringify({ pid, startTime: "1" }));
    const release = await acquireLock(path, ignore);
    release();
  });

  it("is held by one at a time, however many come for a dead one's", async () => {
    const folder = makeScratch();
    const path = join(folder, "lock");
    const journal = join(folder, "journal");
    writeFileSync(path, JSON.stringify({ pid: 2 ** 30, startTime: "1" }));
    const script = holderScript(
      path,
      `const { appendFileSync } = await import("node:fs");
      appendFileSync(${JSON.stringify(journal)}, "in ");
      await new Promise((resolve) => setTimeout(resolve, 20));
      appendFileSync(${JSON.stringify(journal)}, "out ");
      release();`,
    );
    const args = ["--input-type=module", "-e", script];
    await Promise.all(Array.from({ length: 6 }, () => runProgram(process.execPath, args)));
    expect(readFileSync(journal, "utf8")).toBe("in out ".repeat(6));
  });
});
