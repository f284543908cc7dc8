/** The contract where only a process of its own shows it: what holds the process, and running out of descriptors. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { needs } from "./fixture.js";
import type { SuiteContext } from "./suite-context.js";

/** Few enough to run out of quickly, enough for Node itself. */
const DESCRIPTORS = 64;

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

export function describeOwnProcess(suite: SuiteContext): void {
  const folder = mkdtempSync(join(tmpdir(), "host-network-child-"));
  const program = join(folder, "child.mjs");

  beforeAll(() => bundleChild(suite.fixture.childModule, program));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (task: string, descriptors?: number): Promise<Ended> => {
    const limit = descriptors === undefined ? "" : `ulimit -n ${String(descriptors)}; `;
    const command = `${limit}exec "$0" "$1" "$2"`;
    const child = spawn("sh", ["-c", command, process.execPath, program, task]);
    let output = "";
    child.stdout.on("data", (text: Buffer) => (output += text.toString()));
    child.stderr.on("data", (text: Buffer) => (output += text.toString()));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve({ code, output: output.trim() }));
    });
  };

  describe("a process", () => {
    it("lives as long as sockets and timers that are held", async (context) => {
      needs(context, suite.fixture, "holdsProcess");
      expect(await run("held")).toEqual({ code: 0, output: "the timer fired" });
    });

    it("ends where they are not held", async (context) => {
      needs(context, suite.fixture, "holdsProcess");
      expect(await run("not-held")).toEqual({ code: 0, output: "nothing else to do" });
    });

    it("is not held by sockets opened after unref", async (context) => {
      needs(context, suite.fixture, "holdsProcess");
      expect(await run("not-held-later")).toEqual({ code: 0, output: "nothing else to do" });
    });

    it("is held again after ref", async (context) => {
      needs(context, suite.fixture, "holdsProcess");
      expect(await run("held-again")).toEqual({ code: 0, output: "the timer fired" });
    });

    it("ends by itself after the network was closed", async (context) => {
      needs(context, suite.fixture, "holdsProcess");
      expect(await run("closed")).toEqual({ code: 0, output: "closed" });
    });

    it("survives that it has no descriptor left, and goes on when it has", async (context) => {
      needs(context, suite.fixture, "descriptors");
      const ended = await run("no-descriptors", DESCRIPTORS);
      expect(ended).toEqual({ code: 0, output: "EMFILE was told, then all went on" });
    });
  });
}

/** Makes one file of the child's program and of the implementation that it tests. */
async function bundleChild(childModule: string, outfile: string): Promise<void> {
  const here = dirname(fileURLToPath(import.meta.url));
  await build({
    stdin: {
      contents: `import make from ${JSON.stringify(childModule)};
        import { runTask } from ${JSON.stringify(join(here, "child.ts"))};
        runTask(make, process.argv[2]);`,
      resolveDir: here,
      loader: "ts",
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  });
}
