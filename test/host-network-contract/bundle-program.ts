/** Makes one file of TypeScript that is to run in a process of its own: Node does not read TypeScript itself. */
import { spawn } from "node:child_process";
import { build } from "esbuild";

/** Bundles `source` (TypeScript text; imports are resolved from `folder`) into the module `outfile`. */
export async function bundleProgram(
  source: string,
  folder: string,
  outfile: string,
): Promise<void> {
  await build({
    stdin: { contents: source, resolveDir: folder, loader: "ts" },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
}

export interface Ended {
  readonly code: number | null;
  /** Standard output and error, without white space at the ends. */
  readonly output: string;
}

/** Runs a shell command to its end; `args` are its $0, $1, … */
export function runShell(command: string, ...args: string[]): Promise<Ended> {
  const child = spawn("sh", ["-c", command, ...args]);
  let output = "";
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  child.stderr.on("data", (text: Buffer) => (output += text.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output: output.trim() }));
  });
}
