// The demo page, built to static files that work from any folder of any host: paths are relative, and what
// it needs at run time (the guest, a relay) is named by `demo.json` beside it. Its service worker is a build
// of its own (`--mode service-worker`): one classic script, since not every browser takes modules there.

import { defineConfig, type UserConfig } from "vite";

const OUTPUT = "../build/demo";
const TARGET = "es2022";

const PAGE: UserConfig = {
  root: "demo",
  base: "./",
  build: {
    outDir: OUTPUT,
    emptyOutDir: true,
    target: TARGET,
    // The module and v86 are files of their own, never text within the script.
    assetsInlineLimit: 0,
    // v86 alone is half a megabyte; the page shows how far it is.
    chunkSizeWarningLimit: 1000,
  },
};

/** Its folder is what a service worker may serve. */
const SERVICE_WORKER: UserConfig = {
  root: "demo",
  build: {
    outDir: OUTPUT,
    emptyOutDir: false,
    target: TARGET,
    lib: { entry: "service-worker.ts", formats: ["iife"], name: "serviceWorker" },
    rolldownOptions: { output: { entryFileNames: "service-worker.js" } },
  },
};

export default defineConfig(({ mode }) => (mode === "service-worker" ? SERVICE_WORKER : PAGE));
