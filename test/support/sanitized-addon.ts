/**
 * An addon of the package built with AddressSanitizer and UndefinedBehaviorSanitizer, in a folder of its own: suites run once more on that
 * build, in processes that the sanitizers end at the first thing that C leaves undefined.
 */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { findCommand } from "../../scripts/set-up/exec.mjs";
import { ROOT } from "../house/scratch.js";

const run = promisify(execFile);

/** What a process said, whether or not it ended well. */
export interface Said {
  readonly stdout: string;
  readonly stderr: string;
}

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
  const pattern = new RegExp(`"target_name": "${name}",\\s*"sources": \\[([^\\]]*)\\]`);
  const list = pattern.exec(gyp)?.[1] ?? "";
  return [...list.matchAll(/"([^"]+\.c)"/g)].map(([, file]) => join(ROOT, "native", file ?? ""));
}

/** See the top of the file. */
export class SanitizedAddon {
  readonly #folder: string;
  readonly #runtime: string;

  /** Builds the addon of that name. */
  static async build(name: string): Promise<SanitizedAddon> {
    const folder = mkdtempSync(join(tmpdir(), "sanitized-"));
    await run("gcc", [
      ...["-shared", "-fPIC", "-g", "-O1", "-fno-omit-frame-pointer", "-std=c11"],
      ...["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
      ...["-D_GNU_SOURCE", "-DNAPI_VERSION=8", `-I${headerFolder()}`],
      ...["-o", join(folder, `${name}.node`), ...sourcesOf(name)],
    ]);
    return new SanitizedAddon(folder);
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.#runtime = runtimePath();
  }

  /** Runs suites on it. What Node itself leaks is not asked there. */
  runSuites(files: readonly string[]): Promise<Said> {
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit"];
    const words = [...vitest, "--testTimeout=120000", "--no-file-parallelism", ...files];
    return this.run("detect_leaks=0", process.execPath, ...words);
  }

  /** Runs a program (of JavaScript, with `gc`) on it that is asked for leaks at its end; `before` are words before Node's. */
  runForLeaks(script: string, ...before: string[]): Promise<Said> {
    const node = [process.execPath, "--expose-gc", "--input-type=module", "-e", script];
    const [path = "", ...words] = [...before, ...node];
    return this.run("detect_leaks=1:fast_unwind_on_malloc=0", path, ...words);
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

  /** In the environment in which Node loads the addon that was built here, and says where a sanitizer found something. */
  private run(options: string, path: string, ...words: string[]): Promise<Said> {
    const reports = `log_path=${join(this.#folder, "report")}:abort_on_error=0:exitcode=99:${options}`;
    const env = {
      ...process.env,
      NO_COLOR: "1",
      LD_PRELOAD: this.#runtime,
      SLIRP_WASM_ADDONS: this.#folder,
      ASAN_OPTIONS: reports,
      UBSAN_OPTIONS: `print_stacktrace=1:${reports}`,
    };
    return run(path, words, { cwd: ROOT, env, maxBuffer: 64 << 20 }).catch(
      (error: unknown) => error as Said,
    );
  }
}
