// The demo page, built to static files that work from any folder of any host: paths are relative, and what
// it needs at run time (the guest, a relay) is named by `demo.json` beside it.

import { defineConfig } from "vite";

export default defineConfig({
  root: "demo",
  base: "./",
  build: {
    outDir: "../build/demo",
    emptyOutDir: true,
    target: "es2022",
    // The module and v86 are files of their own, never text within the script.
    assetsInlineLimit: 0,
  },
});
