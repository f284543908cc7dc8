/**
 * Set-up runs what has to run and nothing else, and says what failed and what to do about it.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { Display } from "../../scripts/set-up/display.mjs";
import { CommandError, exec } from "../../scripts/set-up/exec.mjs";
import { runSteps, selectSteps } from "../../scripts/set-up/runner.mjs";
import { computeStamp } from "../../scripts/set-up/stamp.mjs";
import { isInstalled } from "../../scripts/steps/npm-packages.mjs";
import { makeScratch, writeFiles } from "./scratch.js";

/** What a test sees of the display. */
function makeDisplay() {
  const printed: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      printed.push(chunk.toString());
      done();
    },
  });
  const display = new Display({ stream: stream as NodeJS.WriteStream });
  return { display, text: () => printed.join("") };
}

type Step = Parameters<typeof runSteps>[0][number];

/** A step that makes `out/NAME` of `in/NAME`. */
function makeStep(name: string, more: Partial<Step> = {}): Step {
  return {
    name,
    describe: `make ${name}`,
    inputs: () => [`in/${name}`],
    outputs: () => [`out/${name}`],
    async run({ root }) {
      writeFiles(root, { [`out/${name}`]: readFileSync(join(root, "in", name), "utf8") });
      return Promise.resolve();
    },
    ...more,
  };
}

function failing(message: string): Step["run"] {
  return async () => Promise.reject(new Error(message));
}

function failingProgram(message: string): Step["run"] {
  return async (ctx) => {
    await ctx.exec(process.execPath, ["-e", `console.error("${message}"); process.exitCode = 1`]);
  };
}

describe("a step of set-up", () => {
  it("runs once, and again when its input changes or its output is gone", async () => {
    const root = makeScratch({ "in/a": "1" });
    const { display } = makeDisplay();
    const run = async () => (await runSteps([makeStep("a")], { root, display })).ran;
    expect(await run()).toEqual(["a"]);
    expect(await run()).toEqual([]);
    writeFileSync(join(root, "in/a"), "2");
    expect(await run()).toEqual(["a"]);
    rmSync(join(root, "out/a"));
    expect(await run()).toEqual(["a"]);
    expect(await run()).toEqual([]);
  });

  it("runs again when its own module changes", async () => {
    const root = makeScratch({ "in/a": "1", "a.mjs": "one way" });
    const { display } = makeDisplay();
    const stepPaths = new Map([["a", join(root, "a.mjs")]]);
    const run = async () => (await runSteps([makeStep("a")], { root, display, stepPaths })).ran;
    await run();
    expect(await run()).toEqual([]);
    writeFileSync(join(root, "a.mjs"), "another way");
    expect(await run()).toEqual(["a"]);
  });

  it("runs again when the run before was cut short, or its stamp is damaged", async () => {
    const root = makeScratch({ "in/a": "1", "out/a": "from before" });
    const { display } = makeDisplay();
    const broken = makeStep("a", { run: failing("power failure"), optional: true });
    await runSteps([makeStep("a")], { root, display });
    await runSteps([broken], { root, display, force: true });
    expect((await runSteps([makeStep("a")], { root, display })).ran).toEqual(["a"]);
    writeFileSync(join(root, "build/stamps/a.json"), '{"st');
    expect((await runSteps([makeStep("a")], { root, display })).ran).toEqual(["a"]);
  });

  it("runs when forced, and only those named are", async () => {
    const root = makeScratch({ "in/a": "1", "in/b": "1" });
    const { display } = makeDisplay();
    const steps = [makeStep("a"), makeStep("b", { after: ["a"] })];
    await runSteps(steps, { root, display });
    const options = { root, display, force: true };
    expect((await runSteps(steps, options)).ran).toEqual(["a", "b"]);
    expect((await runSteps(steps, { ...options, only: ["b"] })).ran).toEqual(["b"]);
  });

  it("that fails ends set-up with its name, the reason and where the log is", async () => {
    const root = makeScratch();
    const { display } = makeDisplay();
    const steps = [makeStep("a", { run: failingProgram("no such thing") }), makeStep("b")];
    const error: unknown = await runSteps(steps, { root, display }).catch((e: unknown) => e);
    expect(String(error)).toMatch(/a \(make a\) failed: [^]*status 1[^]*no such thing/);
    expect(String(error)).toContain("build/logs/a.log");
    expect(readFileSync(join(root, "build/logs/a.log"), "utf8")).toContain("no such thing");
  });

  it("that is optional and fails is left out, together with what stands on it", async () => {
    const root = makeScratch({ "in/c": "1" });
    const { display, text } = makeDisplay();
    const steps = [
      makeStep("a", { run: failing("no such thing"), optional: true }),
      makeStep("b", { after: ["a"], optional: true }),
      makeStep("c"),
    ];
    const { ran, failed } = await runSteps(steps, { root, display });
    expect(failed).toEqual(["a", "b"]);
    expect(ran).toEqual(["a", "c"]);
    expect(text()).toMatch(/b .*stands on a, which failed/);
  });

  it("that lacks a program names it and the command that installs it", async () => {
    const root = makeScratch({ "in/a": "1" });
    const { display } = makeDisplay();
    const needs = [{ command: "no-such-program-here", package: "its-package" }];
    const run = runSteps([makeStep("a", { needs })], { root, display });
    await expect(run).rejects.toThrow(/no-such-program-here .*apt-get install .*its-package/);
  });

  it("that ends without its output has failed", async () => {
    const root = makeScratch({ "in/a": "1" });
    const { display } = makeDisplay();
    const step = makeStep("a", { run: async () => Promise.resolve() });
    await expect(runSteps([step], { root, display })).rejects.toThrow(/without making out\/a/);
  });

  it("is chosen by name together with those it stands on", () => {
    const steps = [
      makeStep("a"),
      makeStep("b"),
      makeStep("c", { after: ["a"] }),
      makeStep("d", { after: ["c"] }),
    ];
    expect(selectSteps(steps, ["d"]).map((step: Step) => step.name)).toEqual(["a", "c", "d"]);
    expect(() => selectSteps(steps, ["x"])).toThrow(/no step "x".*a, b, c, d/);
  });
});

describe("a stamp", () => {
  it("tells files, their names, folders and plain strings apart", () => {
    const root = makeScratch({ "x/one": "1", "x/two": "2", "y/one": "12", "y/two": "" });
    const stamps = [["x"], ["y"], ["x/one"], ["x/two", "x/one"], ["plain"], ["pla", "in"], []];
    expect(new Set(stamps.map((inputs) => computeStamp(root, inputs))).size).toBe(stamps.length);
  });
});

describe("a program that set-up runs", () => {
  it("gives what it printed", async () => {
    const script = "process.stdout.write('out'); process.stderr.write('err')";
    const result = await exec(process.execPath, ["-e", script]);
    expect(result).toEqual({ stdout: "out", stderr: "err" });
  });

  it("that fails is quoted by its last lines, not by all", async () => {
    const script = "for (let i = 1; i <= 50; i++) console.log('line ' + i); process.exitCode = 3";
    const error: unknown = await exec(process.execPath, ["-e", script]).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CommandError);
    const { message } = error as Error;
    expect(message).toContain("status 3");
    expect(message).toContain("line 31\n");
    expect(message).toContain("line 50");
    expect(message).not.toContain("line 30\n");
  });

  it("that is not there is an error that names it", async () => {
    await expect(exec("no-such-program-here", [])).rejects.toThrow(/no-such-program-here/);
  });
});

describe("the npm packages", () => {
  const locked = {
    "": { version: "0.1.0" },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/b": { version: "1.0.0", integrity: "sha512-b", optional: true },
  };

  it("are installed when each is as locked; one for another platform may lack", () => {
    expect(isInstalled(locked, { "node_modules/a": locked["node_modules/a"] })).toBe(true);
  });

  it("are not when one is missing or another version", () => {
    expect(isInstalled(locked, {})).toBe(false);
    const other = { version: "1.0.1", integrity: "sha512-c" };
    expect(isInstalled(locked, { "node_modules/a": other })).toBe(false);
  });
});
