// Three projects: "unit" is everything that runs in this process, files side by side; "system" boots real
// guests and installs the package, one file at a time and after the others, because an emulated CPU wants a
// core for itself; "page" does the same in a browser.

import { defineConfig } from "vitest/config";

/** A machine with two busy cores must not make a test fail. */
const UNIT_TIMEOUT_MS = 30_000;

/** A boot under emulation and some transfers. */
const SYSTEM_TIMEOUT_MS = 300_000;

export default defineConfig({
  test: {
    pool: "forks",
    allowOnly: false,
    passWithNoTests: false,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      reportsDirectory: "coverage",
      reportOnFailure: true,
    },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          maxWorkers: 3,
          include: ["test/**/*.test.ts"],
          exclude: ["test/system/**", "test/package/**", "test/page/**"],
          testTimeout: UNIT_TIMEOUT_MS,
          hookTimeout: UNIT_TIMEOUT_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts", "test/package/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: SYSTEM_TIMEOUT_MS,
          hookTimeout: SYSTEM_TIMEOUT_MS,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "page",
          include: ["test/page/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: SYSTEM_TIMEOUT_MS,
          hookTimeout: SYSTEM_TIMEOUT_MS,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
