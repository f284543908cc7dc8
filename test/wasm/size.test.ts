/** What a page has to load. KB are 1024 bytes. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
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
  const { outputFiles } = await build({
    stdin: {
      contents: `export { createSlirp } from ${JSON.stringify(index)};`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "error",
  });
  const [bundle] = outputFiles;
  if (!bundle) throw new Error("esbuild made no bundle");
  const bytes = gzipSync(module).length + gzipSync(bundle.contents).length;
  expect(bytes).toBeLessThanOrEqual(MAX_GZIPPED_PAGE_BYTES);
});
