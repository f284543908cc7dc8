/** The contract where only a process of its own shows it: what holds the process, and running out of descriptors. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleProgram, runShell, type Ended } from "./bundle-program.js";
import { needs } from "./fixture.js";
import type { SuiteContext } from "./suite-context.js";

/** Few enough to run out of quickly, enough for Node itself. */
const DESCRIPTORS = 64;

export function describeOwnProcess(suite: SuiteContext): void {
  const folder = mkdtempSync(join(tmpdir(), "host-network-child-"));
  const program = join(folder, "child.mjs");

  const here = dirname(fileURLToPath(import.meta.url));
  const source = `import make from ${JSON.stringify(suite.fixture.childModule)};
    import { runTask } from ${JSON.stringify(join(here, "child.ts"))};
    runTask(make, process.argv[2]);`;

  beforeAll(() => bundleProgram(source, here, program));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (task: string, descriptors?: number): Promise<Ended> => {
    const limit = descriptors === undefined ? "" : `ulimit -n ${String(descriptors)}; `;
    return runShell(`${limit}exec "$0" "$1" "$2"`, process.execPath, program, task);
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

    it("is not held by a timer that is no reason to stay", async (context) => {
      needs(context, suite.fixture, "holdsProcess");
      expect(await run("idle-timer")).toEqual({ code: 0, output: "nothing else to do" });
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
