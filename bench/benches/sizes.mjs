// What a browser must load: the module, and our JavaScript bundled and minified. Sizes do not vary: one round says all.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

export const description = "bytes of the module and of the browser bundle, plain and gzipped";
export const defaultRounds = 1;

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What a page has that runs a v86 guest on our stack: everything of the entry, and the NIC. */
const ENTRIES = {
  "JavaScript of slirp-wasm": 'export * from "./dist/index.js";',
  "JavaScript of slirp-wasm and slirp-wasm/v86":
    'export * from "./dist/index.js"; export * from "./dist/v86.js";',
};

async function bundle(contents) {
  const result = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
  });
  return result.outputFiles[0].contents;
}

const zip = (bytes) => gzipSync(bytes, { level: 9 }).length;

export async function run() {
  const module = readFileSync(`${root}wasm/out/slirp.wasm`);
  const sizes = [["module slirp.wasm", module.length, zip(module), 160_000, 64_000]];
  for (const [what, contents] of Object.entries(ENTRIES)) {
    const bytes = await bundle(contents);
    sizes.push([what, bytes.length, zip(bytes)]);
  }
  const largest = sizes.at(-1);
  sizes.push([
    "in all: module, slirp-wasm and slirp-wasm/v86",
    module.length + largest[1],
    zip(module) + largest[2],
    undefined,
    90_000,
  ]);
  return {
    rounds: 1,
    measures: sizes.flatMap(([what, plain, zipped, plainLimit, zippedLimit]) => [
      sizeMeasure(what, "bytes", plain, plainLimit),
      sizeMeasure(what, "bytes gzipped", zipped, zippedLimit),
    ]),
  };
}

function sizeMeasure(what, unit, value, limit) {
  const target = limit === undefined ? undefined : { atMost: limit };
  return { what, unit, values: { size: [value] }, target };
}
