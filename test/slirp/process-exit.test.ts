/**
 * A stack keeps its process as long as there is something to wait for, and no longer.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { moduleUrl } from "../../src/slirp/load-module.js";

const folder = mkdtempSync(join(tmpdir(), "slirp-wasm-exit-"));
const program = join(folder, "child.mjs");

/** Long enough for a process that has nothing to do to have ended, short of the test's own limit. */
const LIVES_MS = 2500;

beforeAll(async () => {
  await build({
    entryPoints: [fileURLToPath(new URL("process-child.ts", import.meta.url))],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a task; "ended" where the process ended by itself, "lives" where it had to be killed. */
function run(task: string): Promise<{ how: "ended" | "lives"; output: string }> {
  const child = spawn(process.execPath, [program, moduleUrl.href, task], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    let output = "";
    let how: "ended" | "lives" = "ended";
    let timer: NodeJS.Timeout | undefined;
    child.stdout.on("data", (text: Buffer) => {
      output += text.toString();
      timer ??= setTimeout(
        () => {
          how = "lives";
          child.kill("SIGKILL");
        },
        task === "forward" ? LIVES_MS : 20_000,
      );
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve({ how, output });
    });
  });
}

describe("a process with a stack", () => {
  it("ends by itself when the stack is idle: router advertisements hold nothing", async () => {
    expect(await run("idle")).toEqual({ how: "ended", output: "ready\n" });
  });

  it("lives as long as a forward is open", async () => {
    expect(await run("forward")).toEqual({ how: "lives", output: "ready\n" });
  });

  it("ends by itself with a forward that is open, after unref", async () => {
    expect(await run("forward-unref")).toEqual({ how: "ended", output: "ready\n" });
  });

  it("ends by itself after close", async () => {
    expect(await run("close")).toEqual({ how: "ended", output: "ready\n" });
  });
});
