// Builds the demo page to build/demo, which `slirp-wasm demo` serves.

export default {
  name: "demo",
  describe: "build the demo page",
  after: ["npm-packages", "wasm-module", "typescript"],
  // What the page is a user of changes with src/.
  inputs: () => ["demo", "src", "vite.config.ts", "package-lock.json", "wasm/out/slirp.wasm"],
  outputs: () => ["build/demo/index.html", "build/demo/service-worker.js"],
  async run(ctx) {
    const build = ["node_modules/vite/bin/vite.js", "build"];
    await ctx.exec(process.execPath, build);
    await ctx.exec(process.execPath, [...build, "--mode", "service-worker"]);
  },
};
