// Three projects, one after the other: "unit" is everything that runs in this process; "system" boots real guests
// and installs the package; "page" does the same in a browser.

import { defineConfig } from "vitest/config";

/** A machine with two busy cores must not make a test fail. */
const UNIT_TIMEOUT_MS = 30_000;

/** More than there are cores: these files mostly wait, for timers and for other processes. */
const UNIT_WORKERS = 3;

/** An emulated CPU wants a core for itself, and has none while its guest waits. */
const SYSTEM_WORKERS = 2;

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
          maxWorkers: UNIT_WORKERS,
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
          maxWorkers: SYSTEM_WORKERS,
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
