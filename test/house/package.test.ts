/**
 * What the package promises to whoever installs it: entry points that exist and load, a command that runs,
 * licences that go along, and a lock file that does not tie anyone to one registry.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT, runProgram } from "./scratch.js";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;

/** Every file that an entry point names. */
const exportedFiles = Object.values(manifest.exports).flatMap((target) =>
  typeof target === "string" ? [target] : Object.values(target),
);

describe("package.json", () => {
  it.each(exportedFiles)("exports %s, which is there", (path) => {
    expect(existsSync(join(ROOT, path))).toBe(true);
  });

  it("puts the types first in every entry point that has conditions", () => {
    for (const target of Object.values(manifest.exports)) {
      if (typeof target !== "string") expect(Object.keys(target)[0]).toBe("types");
    }
  });

  it.each(Object.keys(manifest.exports).filter((name) => !/\.(wasm|json)$/.test(name)))(
    "lets Node import the entry point %s",
    async (name) => {
      const specifier = manifest.name + name.slice(1);
      const script = `const names = Object.keys(await import(${JSON.stringify(specifier)}));
        process.stdout.write(String(names.length));`;
      const result = await runProgram(process.execPath, ["--input-type=module", "-e", script]);
      expect(result.stderr).toBe("");
      expect(Number(result.stdout)).toBeGreaterThan(0);
    },
  );

  it("names a command that can be executed and tells its version", async () => {
    const command = join(ROOT, manifest.bin["slirp-wasm"] ?? "");
    expect(readFileSync(command, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
    expect(statSync(command).mode & 0o111).toBe(0o111);
    const { stdout } = await runProgram(process.execPath, [command, "--version"]);
    expect(stdout).toContain(manifest.version);
  });

  it("packs all that it exports and the notices, and nothing that was only built with", async () => {
    const { stdout } = await runProgram("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"]);
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const packed = files.map(({ path }) => path);
    const notices = ["LICENSE", "wasm/out/libslirp.COPYRIGHT"];
    const exported = exportedFiles.map((path) => path.slice(2));
    expect(packed).toEqual(expect.arrayContaining([...exported, ...notices]));
    const stray = /tsbuildinfo$|upstream|^(src|test|scripts|build)\/|\.c$/;
    expect(packed.filter((path) => stray.test(path))).toEqual([]);
  });
});

describe("package-lock.json", () => {
  it("names no place that packages were fetched from", () => {
    const text = readFileSync(join(ROOT, "package-lock.json"), "utf8");
    expect(text).not.toContain('"resolved"');
  });

  it("is in step with package.json", () => {
    interface Lock {
      readonly packages: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    }
    const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as Lock;
    const declared = manifest as unknown as Readonly<Record<string, unknown>>;
    for (const kind of ["dependencies", "devDependencies", "peerDependencies", "engines"]) {
      expect(lock.packages[""]?.[kind]).toEqual(declared[kind]);
    }
  });
});
