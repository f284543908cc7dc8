#!/usr/bin/env node
// Runs everything that can fail: linter, formatter and compiler as one check each, then vitest over all
// suites with coverage. The last line alone, `N passed, N failed, N skipped`, tells the outcome; what was
// skipped is listed before it with its reason. Arguments go to vitest (`npm test -- test/config`): the checks
// and coverage are then left out, since a part of the suites was asked for.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readCoverageTable } from "./test/coverage-table.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const COVERAGE_SUMMARY = join(ROOT, "coverage/coverage-summary.json");

const TSC = "node_modules/typescript/bin/tsc";
const CACHE = "build/cache";

/** Each is a list of commands, run with this Node. */
const CHECKS = [
  {
    name: "lint",
    commands: [
      [
        "node_modules/eslint/bin/eslint.js",
        ".",
        "--max-warnings=0",
        ...["--cache", "--cache-strategy=content", `--cache-location=${CACHE}/eslint`],
      ],
    ],
  },
  {
    name: "format",
    commands: [
      [
        "node_modules/prettier/bin/prettier.cjs",
        ...["--check", ".", "--log-level=warn"],
        ...["--cache", "--cache-strategy=content", `--cache-location=${CACHE}/prettier`],
      ],
    ],
  },
  {
    name: "typecheck",
    commands: [
      [TSC, "-b"],
      [TSC, "-p", "test/tsconfig.json"],
      [TSC, "-p", "test/page/site/tsconfig.json"],
      [TSC, "-p", "demo/tsconfig.json"],
    ],
  },
];

/** Runs Node with these arguments; gives its exit status, 1 when it was ended by a signal. */
function runNode(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: "inherit",
    });
    child.on("error", reject);
    child.on("close", (status) => resolve(status ?? 1));
  });
}

async function runChecks(tally) {
  mkdirSync(join(ROOT, CACHE), { recursive: true });
  for (const { name, commands } of CHECKS) {
    const began = performance.now();
    let isGood = true;
    for (const command of commands) isGood = isGood && (await runNode(command)) === 0;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(` ${isGood ? "✓" : "✗"} check: ${name} (${seconds} s)`);
    if (isGood) tally.passed += 1;
    else tally.failures.push(`check: ${name}`);
  }
}

/** Runs vitest; its counts are added to the tally. */
async function runSuites(tally, filters) {
  rmSync(COVERAGE_SUMMARY, { force: true });
  const folder = mkdtempSync(join(tmpdir(), "slirp-wasm-tally-"));
  const tallyPath = join(folder, "tally.json");
  const reporters = ["--reporter=default", "--reporter=./scripts/test/tally-reporter.mjs"];
  const coverage = filters.length === 0 ? ["--coverage"] : [];
  const status = await runNode(
    ["node_modules/vitest/vitest.mjs", "run", ...reporters, ...coverage, ...filters],
    { SLIRP_WASM_TALLY: tallyPath },
  );
  const counted = readTally(tallyPath);
  rmSync(folder, { recursive: true, force: true });
  tally.passed += counted.passed;
  tally.failures.push(...counted.failures);
  tally.skipped.push(...counted.skipped);
  if (counted.passed + counted.failures.length === 0) tally.failures.push("no test ran");
  else if (status !== 0 && counted.failures.length === 0) {
    tally.failures.push(`vitest ended with status ${status}`);
  }
}

function readTally(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // vitest ended before it could report; its own output tells why.
    return { passed: 0, failures: ["vitest ended without a result"], skipped: [] };
  }
}

async function main() {
  const filters = process.argv.slice(2);
  const tally = { passed: 0, failures: [], skipped: [] };
  if (filters.length === 0) await runChecks(tally);
  await runSuites(tally, filters);
  const table = readCoverageTable(COVERAGE_SUMMARY, ROOT);
  if (table !== undefined) console.log(`\n${table}`);
  for (const { name, reason } of tally.skipped) console.log(`skipped: ${name}: ${reason}`);
  for (const name of tally.failures) console.log(`failed: ${name}`);
  const { passed, failures, skipped } = tally;
  console.log(`\n${passed} passed, ${failures.length} failed, ${skipped.length} skipped`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}

await main();
