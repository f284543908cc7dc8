/**
 * The last line of `npm test` can be believed: whatever did not run or did not hold is counted.
 */
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatCoverage } from "../../scripts/test/coverage-table.mjs";
import { makeScratch, ROOT, runProgram } from "./scratch.js";

interface Tally {
  readonly passed: number;
  readonly failures: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
}

/** Runs vitest on these test files and reads what our reporter made of it. */
async function tallyOf(files: Readonly<Record<string, string>>): Promise<Tally> {
  const root = makeScratch({ "package.json": `{ "type": "module" }`, ...files });
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  const tallyPath = join(root, "tally.json");
  const reporter = join(ROOT, "scripts/test/tally-reporter.mjs");
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const env = { ...process.env, SLIRP_WASM_TALLY: tallyPath };
  const args = [vitest, "run", "--root", root, `--reporter=${reporter}`];
  await runProgram(process.execPath, args, { cwd: root, env });
  return JSON.parse(readFileSync(tallyPath, "utf8")) as Tally;
}

const HEAD = `import { beforeAll, describe, expect, it } from "vitest";\n`;

describe("the tally", () => {
  it("counts what passed, failed and was skipped, with the reason", async () => {
    const tally = await tallyOf({
      "a.test.js": `${HEAD}
        describe("group", () => {
          it("good", () => {});
          it("bad", () => { expect(1).toBe(2); });
          it("absent", (ctx) => { ctx.skip("no such machine"); });
        });`,
    });
    expect(tally).toEqual({
      passed: 1,
      failures: ["a.test.js > group > bad: expected 1 to be 2 // Object.is equality"],
      skipped: [{ name: "a.test.js > group > absent", reason: "no such machine" }],
    });
  });

  it("counts files that cannot be loaded, hooks that fail and errors outside of tests", async () => {
    const tally = await tallyOf({
      "unloadable.test.js": `import "./not-there.js";`,
      "hook.test.js": `${HEAD}
        describe("group", () => {
          beforeAll(() => { throw new Error("cannot begin"); });
          it("never runs", () => {});
        });`,
      "stray.test.js": `${HEAD}
        it("good", async () => {
          void Promise.reject(new Error("nobody waits for this"));
          await new Promise((resolve) => setTimeout(resolve, 50));
        });`,
    });
    expect(tally.passed).toBe(1);
    expect([...tally.failures].sort()).toEqual([
      "an error outside of any test: nobody waits for this",
      "hook.test.js > group (a hook): cannot begin",
      expect.stringMatching(/^unloadable\.test\.js \(the file itself\): .*not-there\.js/),
    ]);
    expect(tally.skipped.map(({ reason }) => reason)).toEqual(["a hook of its suite failed"]);
  });

  it("is a failure when no test ran", async () => {
    const script = join(ROOT, "scripts/test.mjs");
    const result = await runProgram(process.execPath, [script, "no-such-test-file-anywhere"]);
    expect(result.status).toBe(1);
    expect(result.stdout.trimEnd().split("\n").at(-1)).toBe("0 passed, 1 failed, 0 skipped");
  });
});

describe("the coverage table", () => {
  it("adds up a folder's files", () => {
    const metric = (covered: number) => ({ total: 10, covered });
    const file = (covered: number) => ({
      statements: metric(covered),
      branches: metric(covered),
      functions: metric(covered),
      lines: metric(covered),
    });
    const summary = { total: file(9), "/x/src/a/1.ts": file(10), "/x/src/a/2.ts": file(5) };
    const lines = formatCoverage(summary, "/x").split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^src\/a +(75\.0 % *){4}$/);
  });
});
