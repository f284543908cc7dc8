#!/usr/bin/env node
// Set-up: makes everything that a fresh clone lacks, in order, and does nothing when nothing has changed.
// It is run by `npm start` and `npm test`, before any package is installed: hence plain JavaScript that
// imports only Node's own modules. Each step is a module in scripts/steps; scripts/set-up/runner.mjs tells
// what such a module exports.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Display } from "./set-up/display.mjs";
import { endChildren } from "./set-up/exec.mjs";
import { acquireLock } from "./set-up/lock.mjs";
import { runSteps, StepError } from "./set-up/runner.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** In this order. */
const STEP_NAMES = [
  "debian-packages",
  "npm-packages",
  "libslirp-source",
  "wasm-module",
  "native-addons",
  "typescript",
  "demo",
  "guest-v86",
  "guest-qemu",
  "guest-v86-state",
];

const USAGE = `Usage: node scripts/set-up.mjs [options]

Makes what a fresh clone lacks: packages, libslirp's source, the WebAssembly
module, the compiled TypeScript, the guest images. Steps whose inputs have not
changed are skipped.

Options:
  --only STEP      run only this step and those it stands on (repeatable)
  --force          run steps even when they are up to date
  --libslirp DIR   take libslirp's source files from this folder
                   (also: SLIRP_WASM_LIBSLIRP_DIR)
  --verbose        print every line that the programs under way print
  --help           print this text

Steps: ${STEP_NAMES.join(", ")}
Logs:  build/logs/STEP.log
`;

function readOptions() {
  try {
    return parseArgs({
      options: {
        only: { type: "string", multiple: true, default: [] },
        force: { type: "boolean", default: false },
        libslirp: { type: "string" },
        verbose: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`set-up: ${error.message}; --help tells what it takes\n`);
    process.exit(2);
  }
}

async function loadSteps() {
  const steps = [];
  const stepPaths = new Map();
  for (const name of STEP_NAMES) {
    const path = join(ROOT, "scripts/steps", `${name}.mjs`);
    if (!existsSync(path)) continue;
    const { default: step } = await import(pathToFileURL(path).href);
    steps.push(step);
    stepPaths.set(step.name, path);
  }
  return { steps, stepPaths };
}

/** A signal ends the programs under way, gives the lock back and then ends us as it would have. */
function endOnSignals(release) {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => {
      endChildren();
      release();
      process.kill(process.pid, signal);
    });
  }
}

async function main() {
  const options = readOptions();
  if (options.help) return void process.stdout.write(USAGE);
  const display = new Display({ verbose: options.verbose });
  const env = { ...process.env };
  if (options.libslirp !== undefined) env.SLIRP_WASM_LIBSLIRP_DIR = resolve(options.libslirp);
  const release = await acquireLock(join(ROOT, "build/set-up.lock"), (pid) =>
    display.say(`set-up: waiting for another set-up of this checkout (process ${pid}) to end`),
  );
  endOnSignals(release);
  try {
    const { steps, stepPaths } = await loadSteps();
    await runSteps(steps, { root: ROOT, display, env, stepPaths, ...options });
  } catch (error) {
    process.stderr.write(`${error instanceof StepError ? error.message : error.stack}\n`);
    process.exitCode = 1;
  } finally {
    release();
  }
}

await main();
