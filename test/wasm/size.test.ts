/** What a page has to load. KB are 1024 bytes. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Metafile } from "esbuild";
import { expect, it } from "vitest";
import { moduleUrl } from "../../src/slirp/load-module.js";

const KB = 1024;
const MAX_MODULE_BYTES = 160 * KB;
const MAX_GZIPPED_MODULE_BYTES = 64 * KB;
const MAX_GZIPPED_PAGE_BYTES = 90 * KB;

const module = readFileSync(moduleUrl);

it("the module is small", () => {
  expect(module.length).toBeLessThanOrEqual(MAX_MODULE_BYTES);
  expect(gzipSync(module).length).toBeLessThanOrEqual(MAX_GZIPPED_MODULE_BYTES);
});

it("the module and our JavaScript together are small", async () => {
  const index = fileURLToPath(new URL("../../src/index.ts", import.meta.url));
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `export { createSlirp } from ${JSON.stringify(index)};`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    // What is loaded when first used is not what must be loaded.
    splitting: true,
    outdir: "out",
    metafile: true,
    platform: "browser",
    target: "es2022",
    logLevel: "error",
  });
  const needed = neededAtOnce(metafile, "stdin.js");
  const scripts = outputFiles.filter(({ path }) => needed.has(basename(path)));
  expect(scripts.length).toBeGreaterThan(0);
  const sizes = scripts.map(({ contents }) => gzipSync(contents).length);
  const bytes = sizes.reduce((sum, size) => sum + size, gzipSync(module).length);
  expect(bytes).toBeLessThanOrEqual(MAX_GZIPPED_PAGE_BYTES);
});

/** An entry and all that it imports statically, by file name. */
function neededAtOnce({ outputs }: Metafile, entry: string): Set<string> {
  const byName = new Map(Object.entries(outputs).map(([path, out]) => [basename(path), out]));
  const needed = new Set<string>();
  const add = (name: string): void => {
    if (needed.has(name)) return;
    needed.add(name);
    for (const { path, kind } of byName.get(name)?.imports ?? []) {
      if (kind === "import-statement") add(basename(path));
    }
  };
  add(entry);
  return needed;
}
