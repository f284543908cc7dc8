/**
 * The addon for TAPs built with AddressSanitizer and UndefinedBehaviorSanitizer: its suites run once more on that build, in processes that
 * the sanitizers end at the first thing that C leaves undefined.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, type TestContext } from "vitest";
import { findCommand } from "../../scripts/set-up/exec.mjs";
import { ROOT } from "../house/scratch.js";
import { whyNoTap } from "../support/network-namespace.js";

const run = promisify(execFile);
const TIMEOUT_MS = 600_000;

/** What exercises every function of the addon, worker threads and ends of processes among it. */
const SUITES = ["tap-life", "tap-queues", "tap-opening", "tap-vhost"].map(
  (name) => `test/backends/${name}.test.ts`,
);

let folder = "";
let runtime = "";

function whyNoSanitizers(): string | undefined {
  const missing = whyNoTap();
  if (missing !== undefined) return missing;
  if (findCommand("gcc") === undefined) return "there is no gcc to build with sanitizers";
  runtime = execFileSync("gcc", ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
  return existsSync(runtime) ? undefined : "gcc has no AddressSanitizer";
}

const missing = whyNoSanitizers();

function skipWithout(ctx: TestContext): void {
  if (missing !== undefined) ctx.skip(missing);
}

/** Node's headers, as the set-up finds them. */
function headerFolder(): string {
  const beside = join(dirname(dirname(process.execPath)), "include/node");
  return existsSync(join(beside, "node_api.h")) ? beside : "/usr/include/node";
}

/** Sources of the target in binding.gyp. */
function sources(): string[] {
  const gyp = readFileSync(join(ROOT, "native/binding.gyp"), "utf8");
  const list = /"target_name": "tap",\s*"sources": \[([^\]]*)\]/.exec(gyp)?.[1] ?? "";
  return [...list.matchAll(/"([^"]+\.c)"/g)].map(([, name]) => join(ROOT, "native", name ?? ""));
}

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "sanitized-"));
  await run("gcc", [
    ...["-shared", "-fPIC", "-g", "-O1", "-fno-omit-frame-pointer", "-std=c11"],
    ...["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    ...["-D_GNU_SOURCE", "-DNAPI_VERSION=8", `-I${headerFolder()}`],
    ...["-o", join(folder, "tap.node"), ...sources()],
  ]);
}, TIMEOUT_MS);

afterAll(() => {
  if (folder !== "") rmSync(folder, { recursive: true });
});

/** The environment in which Node loads the addon that was built here, and says where a sanitizer found something. */
function sanitized(options: string): NodeJS.ProcessEnv {
  const reports = `log_path=${join(folder, "report")}:abort_on_error=0:exitcode=99:${options}`;
  return {
    ...process.env,
    LD_PRELOAD: runtime,
    SLIRP_WASM_ADDONS: folder,
    ASAN_OPTIONS: reports,
    UBSAN_OPTIONS: `print_stacktrace=1:${reports}`,
  };
}

function readReports(): string {
  return readdirSync(folder)
    .filter((name) => name.startsWith("report"))
    .map((name) => readFileSync(join(folder, name), "utf8"))
    .join("\n");
}

it(
  "passes its suites without a word from the sanitizers",
  async (ctx) => {
    skipWithout(ctx);
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit"];
    const options = ["--testTimeout=120000", "--no-file-parallelism"];
    // What Node itself leaks is not asked here.
    const env = sanitized("detect_leaks=0");
    const ended = await run(process.execPath, [...vitest, ...options, ...SUITES], {
      cwd: ROOT,
      env: { ...env, NO_COLOR: "1" },
      maxBuffer: 64 << 20,
    }).catch((error: unknown) => error as { stdout: string; stderr: string });
    expect(readReports()).toBe("");
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
    const node = [process.execPath, "--expose-gc", "--input-type=module", "-e", script];
    const env = sanitized("detect_leaks=1:fast_unwind_on_malloc=0");
    const ended = await run("unshare", ["--net", ...node], { cwd: ROOT, env }).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(ended.stdout).toBe("done\n");
    // Node's own leaks are told of, too.
    const ours = readReports()
      .split("\n")
      .filter((line) => line.includes("/native/"));
    expect(ours).toEqual([]);
  },
  TIMEOUT_MS,
);
