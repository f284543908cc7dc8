/**
 * What native/binding.gyp builds, built with AddressSanitizer and UndefinedBehaviorSanitizer in a folder of its own: suites run once more on
 * that build, in processes that the sanitizers end at the first thing that C leaves undefined. It notes which functions were called.
 */
import { execFile, execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { findCommand } from "../../scripts/set-up/exec.mjs";
import { ROOT } from "../house/scratch.js";

const run = promisify(execFile);

/** Of binding.gyp. */
export type Target = "tap" | "sockets" | "netns" | "netns-helper";

/** What a process said, whether or not it ended well. */
export interface Said {
  /** Its exit status; 0 where it ended well. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** More than the code of any target. */
const CALLS_BYTES = 4 << 20;

const FLAGS = [
  ...["-g", "-O1", "-fno-omit-frame-pointer", "-fvisibility=hidden", "-std=c11"],
  ...["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-finstrument-functions"],
  ...["-D_GNU_SOURCE", "-DNAPI_VERSION=8"],
];

function runtimePath(): string {
  return execFileSync("gcc", ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
}

/** Undefined, or the reason to skip. */
export function whyNoSanitizers(): string | undefined {
  if (findCommand("gcc") === undefined) return "there is no gcc to build with sanitizers";
  return existsSync(runtimePath()) ? undefined : "gcc has no AddressSanitizer";
}

/** Node's headers, as the set-up finds them. */
function headerFolder(): string {
  const beside = join(dirname(dirname(process.execPath)), "include/node");
  return existsSync(join(beside, "node_api.h")) ? beside : "/usr/include/node";
}

/** Sources of a target in binding.gyp. */
function sourcesOf(name: string): string[] {
  const gyp = readFileSync(join(ROOT, "native/binding.gyp"), "utf8");
  const pattern = new RegExp(`"target_name": "${name}",[^[]*"sources": \\[([^\\]]*)\\]`);
  const list = pattern.exec(gyp)?.[1] ?? "";
  return [...list.matchAll(/"([^"]+\.c)"/g)].map(([, file]) => join(ROOT, "native", file ?? ""));
}

/** Programs of others that do not end with the sanitizers' library loaded before their own. */
const UNFIT = ["curl"];

/** Puts a script in a program's place that runs it without that library. */
function writeWithout(folder: string, name: string): void {
  const path = findCommand(name);
  if (path === undefined) return;
  const script = `#!/bin/sh\nunset LD_PRELOAD\nexec ${path} "$@"\n`;
  writeFileSync(join(folder, name), script, { mode: 0o755 });
}

/** See the top of the file. */
export class SanitizedBuild {
  readonly #folder: string;
  readonly #runtime = runtimePath();

  static async of(targets: readonly Target[]): Promise<SanitizedBuild> {
    const folder = mkdtempSync(join(tmpdir(), "sanitized-"));
    // An ordinary user's processes load it, too, and report what they find.
    chmodSync(folder, 0o777);
    for (const name of UNFIT) writeWithout(folder, name);
    const build = new SanitizedBuild(folder);
    await Promise.all(targets.map((target) => build.#build(target)));
    return build;
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where a target was built. The helper is not linked statically here, which AddressSanitizer has no support for. */
  path(target: Target): string {
    return join(this.#folder, target === "netns-helper" ? target : `${target}.node`);
  }

  async #build(target: Target): Promise<void> {
    const calls = this.#callsPath(target);
    writeFileSync(calls, new Uint8Array(CALLS_BYTES));
    chmodSync(calls, 0o666);
    const notes = join(this.#folder, `${target}-notes.o`);
    await run("gcc", [
      ...["-c", "-fPIC", "-O1", "-o", notes, join(ROOT, "test/support/native/note-calls.c")],
      ...[`-DCALLS_FILE=${JSON.stringify(calls)}`, `-DCALLS_BYTES=${String(CALLS_BYTES)}`],
    ]);
    const kind = target === "netns-helper" ? ["-fPIE", "-pie"] : ["-fPIC", "-shared"];
    const output = ["-o", this.path(target)];
    const sources = [notes, ...sourcesOf(target), "-lpthread"];
    await run("gcc", [...kind, ...FLAGS, `-I${headerFolder()}`, ...output, ...sources]);
  }

  #callsPath(target: Target): string {
    return join(this.#folder, `${target}-calls`);
  }

  /** Functions of a target that no process has called so far, each with its file: "port.c: fail". */
  uncalled(target: Target): string[] {
    const called = readFileSync(this.#callsPath(target));
    const words = ["--defined-only", "--line-numbers", this.path(target)];
    const names = execFileSync("nm", words, { encoding: "utf8", maxBuffer: 64 << 20 });
    // What the sanitizers run before and after all else, "_sub_I_00099_1", is not ours.
    const pattern = /^([0-9a-f]+) [tT] (?!_sub_)(\w+)\t(.*\/native\/\w[\w-]*\.c):\d+$/gm;
    const found = [...names.matchAll(pattern)].filter(([, , , path]) => !path?.includes("/test/"));
    if (found.length === 0) throw new Error(`nm names no function of ${target}`);
    return found
      .filter(([, place]) => called[parseInt(place ?? "", 16)] === 0)
      .map(([, , name, path]) => `${basename(path ?? "")}: ${name ?? ""}`)
      .sort();
  }

  /** Runs suites on it. What Node itself leaks is not asked there. */
  runSuites(files: readonly string[]): Promise<Said> {
    const projects = ["--project", "unit", "--project", "system"];
    const vitest = ["node_modules/vitest/vitest.mjs", "run", ...projects];
    const words = [...vitest, "--testTimeout=120000", "--no-file-parallelism", ...files];
    return this.run("detect_leaks=0", process.execPath, ...words);
  }

  /** Runs a program (of JavaScript, with `gc`) on it that is asked for leaks at its end; `before` are words before Node's. */
  runForLeaks(script: string, ...before: string[]): Promise<Said> {
    const node = [process.execPath, "--expose-gc", "--input-type=module", "-e", script];
    const [path = "", ...words] = [...before, ...node];
    return this.run("detect_leaks=1:fast_unwind_on_malloc=0", path, ...words);
  }

  /** Runs a program where Node loads what was built here, and where a sanitizer that finds something says so. */
  async run(options: string, path: string, ...words: string[]): Promise<Said> {
    const reports = `log_path=${join(this.#folder, "report")}:abort_on_error=0:exitcode=99:${options}`;
    const env = {
      ...process.env,
      NO_COLOR: "1",
      LD_PRELOAD: this.#runtime,
      PATH: `${this.#folder}:${process.env["PATH"] ?? ""}`,
      SLIRP_WASM_ADDONS: this.#folder,
      // Programs of others are not what is asked about.
      SLIRP_WASM_TEST_PEERS: "off",
      ASAN_OPTIONS: reports,
      UBSAN_OPTIONS: `print_stacktrace=1:${reports}`,
    };
    try {
      return { code: 0, ...(await run(path, words, { cwd: ROOT, env, maxBuffer: 64 << 20 })) };
    } catch (error) {
      return error as Said;
    }
  }

  /** What the sanitizers found. */
  get reports(): string {
    return readdirSync(this.#folder)
      .filter((name) => name.startsWith("report"))
      .map((name) => readFileSync(join(this.#folder, name), "utf8"))
      .join("\n");
  }

  /** Lines of it that name our code: Node's own leaks are told of, too. */
  get ownReports(): string[] {
    return this.reports.split("\n").filter((line) => line.includes("/native/"));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
