/**
 * The step that brings libslirp's source takes exactly the files that source.json names: it says what is
 * wrong with any other, and how to get the right one.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { createContext } from "../../scripts/set-up/context.mjs";
import { Display } from "../../scripts/set-up/display.mjs";
import step, { unpackSource } from "../../scripts/steps/libslirp-source.mjs";
import { makeScratch, runProgram, writeFiles } from "./scratch.js";

const UPSTREAM = "thing_1.0.orig.tar.bz2";
const PATCHES = "thing_1.0-1.debian.tar.xz";

const PATCH = `--- a/src/greeting.c
+++ b/src/greeting.c
@@ -1 +1 @@
-hello
+goodbye
`;

function hashFile(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** A source package in small: upstream's archive, and an archive with a patch for it. */
async function makeSourcePackage(ctx: TestContext) {
  const root = makeScratch({
    "thing-1.0/src/greeting.c": "hello\n",
    "debian/patches/series": "# in this order\nfarewell.patch\n",
    "debian/patches/farewell.patch": PATCH,
  });
  const context = createContext({ root, step: "test", display: new Display() });
  for (const { command } of step.needs) {
    if (!context.has(command)) ctx.skip(`${command} is not on PATH`);
  }
  await runProgram("tar", ["-cjf", UPSTREAM, "thing-1.0"], { cwd: root });
  await runProgram("tar", ["-cJf", PATCHES, "debian"], { cwd: root });
  const files = [
    { name: UPSTREAM, kind: "upstream", sha256: hashFile(join(root, UPSTREAM)) },
    { name: PATCHES, kind: "patches", sha256: hashFile(join(root, PATCHES)) },
  ];
  const source = { package: "thing", version: "1.0-1", suites: ["trixie"], files };
  return { root, context, source, target: join(root, "upstream") };
}

describe("libslirp's source", () => {
  it("is unpacked and patched when its sums are right", async (ctx) => {
    const { root, context, source, target } = await makeSourcePackage(ctx);
    await unpackSource(context, source, root, target);
    expect(readFileSync(join(target, "src/greeting.c"), "utf8")).toBe("goodbye\n");
  });

  for (const name of [UPSTREAM, PATCHES]) {
    it(`is refused when ${name} is another file, naming it and both sums`, async (ctx) => {
      const { root, context, source, target } = await makeSourcePackage(ctx);
      const expected = hashFile(join(root, name));
      writeFileSync(join(root, name), "something else");
      const found = hashFile(join(root, name));
      const error: unknown = await unpackSource(context, source, root, target).catch(
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(Error);
      for (const part of [name, expected, found]) expect((error as Error).message).toContain(part);
      expect(existsSync(target)).toBe(false);
    });
  }

  it("tells both ways to get a file that is missing", async () => {
    const empty = makeScratch();
    const files = [{ name: UPSTREAM, kind: "upstream", sha256: "00" }];
    const source = { package: "thing", version: "1.0-1", suites: ["trixie"], files };
    const root = makeScratch({ "vendor/libslirp/source.json": JSON.stringify(source) });
    const env = { ...process.env, SLIRP_WASM_LIBSLIRP_DIR: empty };
    const context = createContext({ root, step: "test", display: new Display(), env });
    await expect(step.run(context)).rejects.toThrow(UPSTREAM);
    await expect(step.run(context)).rejects.toThrow(/apt-get.*SLIRP_WASM_LIBSLIRP_DIR/s);
  });

  it("keeps what was unpacked before when new files are refused", async (ctx) => {
    const { root, context, source, target } = await makeSourcePackage(ctx);
    await unpackSource(context, source, root, target);
    writeFiles(root, { [PATCHES]: "cut short" });
    await expect(unpackSource(context, source, root, target)).rejects.toThrow(PATCHES);
    expect(readFileSync(join(target, "src/greeting.c"), "utf8")).toBe("goodbye\n");
  });
});
