/** What `npm pack` puts into the package, judged by the tools that judge packages. */
import { readFileSync } from "node:fs";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { describe, expect, it } from "vitest";
import { ROOT, runProgram } from "../house/scratch.js";
import { NATIVE_FILES, NATIVE_FOLDER, whyNoNativeFiles } from "../support/native-files.js";
import { shareInstalledProject } from "./installed-project.js";

/** What a package may hold: all of it is needed by who installs it. */
const WANTED = [
  /^package\.json$/,
  /^(README|CHANGELOG)\.md$/,
  // Sources are within the maps, so that a debugger shows TypeScript.
  /^dist\/([a-z0-9-]+\/)*[a-z0-9-]+\.(js|js\.map|d\.ts)$/,
  /^wasm\/out\/slirp\.wasm$/,
  /^wasm\/out\/[a-z-]+\.d\.ts$/,
  // Native addons, and the program that goes with them.
  /^prebuilds\/[a-z0-9-]+\/[a-z-]+(\.node)?$/,
  // Which libslirp the module is.
  /^vendor\/libslirp\/source\.json$/,
];
const NOTICES = ["LICENSE", "wasm/out/libslirp.COPYRIGHT"];

describe("the packed file", () => {
  const project = shareInstalledProject();

  const list = async (): Promise<string[]> => {
    const { stdout } = await runProgram("tar", ["-tzf", project().tarball]);
    return stdout
      .trim()
      .split("\n")
      .map((name) => name.replace(/^package\//, ""));
  };

  const read = async (name: string): Promise<string> => {
    const { stdout } = await runProgram("tar", ["-xzOf", project().tarball, `package/${name}`]);
    return stdout;
  };

  it("holds module, JavaScript, types and notices, and nothing else", async () => {
    const names = await list();
    expect(names).toEqual(expect.arrayContaining([...NOTICES, "wasm/out/slirp.wasm"]));
    const stray = names.filter(
      (name) => !NOTICES.includes(name) && !WANTED.some((wanted) => wanted.test(name)),
    );
    expect(stray).toEqual([]);
  });

  it("holds all native files where they were built", async (context) => {
    const missing = whyNoNativeFiles();
    if (missing !== undefined) context.skip(missing);
    const expected = NATIVE_FILES.map((name) => `${NATIVE_FOLDER}/${name}`);
    expect(await list()).toEqual(expect.arrayContaining(expected));
  });

  it("holds no JavaScript whose source is gone", async () => {
    const modules = (await list()).filter((name) => name.endsWith(".js"));
    const { stdout } = await runProgram("find", ["src", "-name", "*.ts"], { cwd: ROOT });
    const sources = stdout.trim().split("\n");
    const expected = sources.map((name) => name.replace(/^src/, "dist").replace(/ts$/, "js"));
    expect(modules.sort()).toEqual(expected.sort());
  });

  it("gives the notice of libslirp whole", async () => {
    const notice = await read("wasm/out/libslirp.COPYRIGHT");
    expect(notice).toMatch(/Redistribution and use in source and binary forms/);
    expect(notice).toMatch(/Danny Gasparovski/);
    expect(await read("LICENSE")).toMatch(/BSD 3-Clause|Redistribution and use/);
  });

  it("has maps that hold the sources they speak of", async () => {
    const map = JSON.parse(await read("dist/index.js.map")) as { sourcesContent?: string[] };
    expect(map.sourcesContent?.[0]).toContain("export async function createSlirp");
    expect(await read("dist/index.d.ts")).not.toContain("sourceMappingURL");
  });

  it("is found good by publint", async () => {
    const tarball = readFileSync(project().tarball);
    const data = new Uint8Array(tarball).buffer;
    const { messages } = await publint({ pack: { tarball: data }, strict: true });
    expect(messages).toEqual([]);
  });

  it("has types that resolve as its code does, for bundlers and for Node's ES modules", async () => {
    const analysed = createPackageFromTarballData(new Uint8Array(readFileSync(project().tarball)));
    const result = await checkPackage(analysed, { excludeEntrypoints: [/\.(wasm|json)$/] });
    if (result.types === false) throw new Error("the package has no types");
    expect(Object.keys(result.entrypoints).sort()).toContain("./browser");
    // Written for ES modules only: neither node10, which knows no exports, nor `require` of older compilers.
    const left = result.problems.filter(
      (problem) =>
        !("resolutionKind" in problem) ||
        problem.resolutionKind === "bundler" ||
        problem.resolutionKind === "node16-esm",
    );
    expect(left).toEqual([]);
  });
});
