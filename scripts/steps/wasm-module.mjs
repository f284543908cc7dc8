// Compiles libslirp and our C to the WebAssembly module (wasm/build.mjs tells how), and puts libslirp's
// notice beside it: its licence asks that the notice goes where the binary goes.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export default {
  name: "wasm-module",
  describe: "compile libslirp to WebAssembly",
  after: ["debian-packages", "libslirp-source"],
  needs: [{ command: "emcc", package: "emscripten" }],
  inputs({ root }) {
    const names = readdirSync(join(root, "wasm")).filter((name) => name !== "out");
    return [...names.map((name) => join("wasm", name)), "vendor/libslirp/source.json"];
  },
  outputs: () => [
    "wasm/out/slirp.wasm",
    "wasm/out/slirp-exports.d.ts",
    "wasm/out/libslirp.COPYRIGHT",
  ],
  async run(ctx) {
    await ctx.exec(process.execPath, ["wasm/build.mjs"]);
    const upstream = join(ctx.root, "vendor/libslirp/upstream");
    // The first holds the terms, the second names every file's holder and the terms of the few others.
    const notices = ["COPYRIGHT", "debian/copyright"].map((name) =>
      readFileSync(join(upstream, name), "utf8").trim(),
    );
    writeFileSync(join(ctx.root, "wasm/out/libslirp.COPYRIGHT"), notices.join("\n\n\n") + "\n");
  },
};
