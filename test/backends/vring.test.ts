/**
 * The rings that frames go by with vhost-net (native/vring.h), against a device that the test plays, on the same memory: a program in C, built
 * with AddressSanitizer and UndefinedBehaviorSanitizer where the compiler has them.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findCommand } from "../../scripts/set-up/exec.mjs";
import { ROOT } from "../house/scratch.js";

const run = promisify(execFile);

const SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"];
const SOURCES = ["test/support/native/vring-device.c", "native/vring.c"];
const TIMEOUT_MS = 120_000;

const SCENARIOS = [
  ["receive", "brings messages of all lengths in order, for longer than its indices count"],
  ["transmit", "keeps what was put until the device has used it, in whatever order that is"],
  ["kicks", "kicks a device that sleeps once a batch, and one that is at work not at all"],
  ["calls", "is called when it asked to be, and only then"],
  ["broken", "notices what cannot be, and believes nothing from then on"],
  ["nonsense", "stays within its bounds, whatever the device writes"],
  ["together", "loses no wake-up while both sides work at the same time"],
] as const;

function whyNoCompiler(): string | undefined {
  if (process.platform !== "linux") return "vhost-net is Linux's";
  return findCommand("gcc") === undefined ? "there is no gcc to build the device with" : undefined;
}

const missing = whyNoCompiler();

describe("a ring of vhost-net", () => {
  let folder = "";

  beforeAll(async () => {
    if (missing !== undefined) return;
    folder = mkdtempSync(join(tmpdir(), "vring-"));
    const library = execFileSync("gcc", ["-print-file-name=libasan.so"], { encoding: "utf8" });
    await run("gcc", [
      ...["-std=c11", "-g", "-O1", "-D_GNU_SOURCE", `-I${join(ROOT, "native")}`],
      ...(existsSync(library.trim()) ? SANITIZE : []),
      ...["-o", join(folder, "vring-device"), ...SOURCES.map((path) => join(ROOT, path))],
      "-lpthread",
    ]);
  }, TIMEOUT_MS);

  afterAll(() => {
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  for (const [scenario, behaviour] of SCENARIOS) {
    for (const means of ["event", "flags"]) {
      const title = `${behaviour} (${means === "event" ? "event indices" : "flags"})`;
      it(title, { timeout: TIMEOUT_MS }, async (ctx) => {
        if (missing !== undefined) ctx.skip(missing);
        const { stdout } = await run(join(folder, "vring-device"), [scenario, means]);
        expect(stdout).toBe("ok\n");
      });
    }
  }
});
