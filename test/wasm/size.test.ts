/** What a page has to load. KB are 1024 bytes. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { moduleUrl } from "../../src/slirp/load-module.js";
import { bundleForPage } from "../support/page-bundle.js";

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
  const { scripts } = await bundleForPage('export { createSlirp } from "./src/index.ts";');
  expect(scripts.length).toBeGreaterThan(0);
  const sizes = scripts.map(({ contents }) => gzipSync(contents).length);
  const bytes = sizes.reduce((sum, size) => sum + size, gzipSync(module).length);
  expect(bytes).toBeLessThanOrEqual(MAX_GZIPPED_PAGE_BYTES);
});
