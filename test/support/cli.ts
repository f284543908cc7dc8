/**
 * The program as people start it: the compiled one, in a process of its own.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The program. */
export const MAIN_PATH = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** How it ended, and what it said. */
export interface CliEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errorOutput: string;
}

/** A program that runs. */
export class CliProcess {
  readonly child: ChildProcess;
  output = "";
  errorOutput = "";
  readonly #closed: Promise<[number | null, NodeJS.Signals | null]>;

  /** `input` is its whole standard input; without it there is none. */
  constructor(words: readonly string[], input?: string | Uint8Array) {
    if (!existsSync(MAIN_PATH))
      throw new Error(`${MAIN_PATH} is not there; "npm run build" makes it`);
    this.child = spawn(process.execPath, [MAIN_PATH, ...words], {
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.errorOutput += text));
    this.child.stdin?.end(input);
    // A test that fails leaves nothing running.
    const kill = (): void => void this.child.kill("SIGKILL");
    process.once("exit", kill);
    this.child.once("close", () => process.off("exit", kill));
    this.#closed = once(this.child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  }

  async ended(): Promise<CliEnd> {
    const [status, signal] = await this.#closed;
    return { status, signal, output: this.output, errorOutput: this.errorOutput };
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** Runs it to its end. */
export function runCli(words: readonly string[], input?: string | Uint8Array): Promise<CliEnd> {
  return new CliProcess(words, input).ended();
}
