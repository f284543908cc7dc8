// Compiles src/ to dist/, one project a folder (tsconfig.json). What dist/ holds of a source file that is no
// more is removed first: a stale module must not be importable.

import { chmodSync, existsSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { listFiles } from "../set-up/stamp.mjs";

function removeStale(root) {
  const dist = join(root, "dist");
  if (!existsSync(dist)) return;
  for (const path of listFiles(dist)) {
    const source = /^(.*?)(\.d\.ts|\.js)(\.map)?$/.exec(relative(dist, path))?.[1];
    if (source !== undefined && !existsSync(join(root, "src", `${source}.ts`))) rmSync(path);
  }
}

export default {
  name: "typescript",
  describe: "compile src/ to dist/",
  // wasm-module writes the types of the module's exports.
  after: ["npm-packages", "wasm-module"],
  inputs: () => ["src", "types", "tsconfig.json", "tsconfig.base.json", "package-lock.json"],
  outputs: () => ["dist/index.js", "dist/cli/main.js"],
  async run(ctx) {
    removeStale(ctx.root);
    const tsc = ["node_modules/typescript/bin/tsc", "-b", "--pretty", "false"];
    await ctx.exec(process.execPath, tsc);
    // npm links the command to this file: `npx slirp-wasm` in the checkout executes it as it stands.
    chmodSync(join(ctx.root, "dist/cli/main.js"), 0o755);
  },
};
