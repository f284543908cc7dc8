// What a step is given: the folder it works in, programs to run, words to say, packages to install.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exec, findCommand } from "./exec.mjs";

/**
 * @typedef {object} StepContext
 * @property {string} root the checkout
 * @property {Record<string, string | undefined>} env the environment, options of set-up included
 * @property {(command: string, args: string[], options?: ExecOptions) =>
 *   Promise<{ stdout: string, stderr: string }>} exec runs a program to its end, its output going to
 *   build/logs/STEP.log; throws an error that quotes its last lines
 * @property {(text: string) => void} progress what the step is at just now
 * @property {(text: string) => void} say prints a line that stays
 * @property {(command: string) => boolean} has whether a program is on PATH
 * @property {boolean} isRoot
 * @property {boolean} canApt whether packages can be installed: root, and apt-get is there
 * @property {(packages: string[]) => Promise<void>} aptInstall installs Debian packages
 *
 * @typedef {object} ExecOptions
 * @property {string} [cwd] default: the checkout
 * @property {Record<string, string | undefined>} [env] added to the environment
 * @property {string | Uint8Array} [input] given on standard input
 * @property {boolean} [progress] show its last line as progress; default: true
 */

/** The command that a person types to install Debian packages. */
export function installCommand(packages) {
  return `sudo apt-get install --no-install-recommends ${packages.join(" ")}`;
}

/** Whether this process may install packages. */
function probeMachine() {
  const isRoot = process.getuid?.() === 0;
  return { isRoot, canApt: isRoot && findCommand("apt-get") !== undefined };
}

/**
 * @param {object} options
 * @param {string} options.root the checkout
 * @param {string} options.step whose context: names the log
 * @param {import("./display.mjs").Display} options.display
 * @param {Record<string, string | undefined>} [options.env] default: this process's
 * @returns {StepContext}
 */
export function createContext({ root, step, display, env = process.env }) {
  const { isRoot, canApt } = probeMachine();
  const logPath = join(root, "build/logs", `${step}.log`);
  let hasLog = false;
  const run = (command, args, options = {}) => {
    if (!hasLog) {
      mkdirSync(join(root, "build/logs"), { recursive: true });
      writeFileSync(logPath, "");
      hasLog = true;
    }
    const { progress = true, ...rest } = options;
    const onLine = progress ? (line) => display.progress(line) : undefined;
    return exec(command, args, { cwd: root, logPath, onLine, ...rest });
  };
  return {
    root,
    env,
    exec: run,
    progress: (text) => display.progress(text),
    say: (text) => display.say(`    ${text}`),
    has: (command) => findCommand(command) !== undefined,
    isRoot,
    canApt,
    aptInstall: (packages) => installPackages(run, canApt, packages),
  };
}

async function installPackages(run, canApt, packages) {
  if (packages.length === 0) return;
  if (!canApt) {
    throw new Error(
      `packages are missing and cannot be installed from here; do it by: ${installCommand(packages)}`,
    );
  }
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  await run("apt-get", ["update"], { env });
  const args = ["install", "--yes", "--no-install-recommends", ...packages];
  await run("apt-get", ["-o", "Acquire::Retries=3", ...args], { env });
}
