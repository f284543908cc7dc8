// The demo page, built to static files that work from any folder of any host: paths are relative, and what
// it needs at run time (the guest, a relay) is named by `demo.json` beside it.

import { defineConfig } from "vite";

const SERVICE_WORKER = "service-worker";

export default defineConfig({
  root: "demo",
  base: "./",
  build: {
    outDir: "../build/demo",
    emptyOutDir: true,
    target: "es2022",
    // The module and v86 are files of their own, never text within the script.
    assetsInlineLimit: 0,
    // v86 alone is half a megabyte; the page shows its progress.
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      input: { index: "demo/index.html", [SERVICE_WORKER]: `demo/${SERVICE_WORKER}.ts` },
      output: {
        // Its folder is what a service worker may serve, and its name is what finds it again.
        entryFileNames: ({ name }) =>
          name === SERVICE_WORKER ? "[name].js" : "assets/[name]-[hash].js",
      },
    },
  },
});
