// Runs the programs that set-up stands on. Everything a child prints goes to the step's log file; the
// last line of it is what the progress display shows, and the last lines are what an error quotes, so
// that a failure can be understood without opening the log.

import { spawn } from "node:child_process";
import { accessSync, appendFileSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** How many of the child's last lines an error quotes. */
const QUOTED_LINES = 20;

/** Debian keeps some programs (ip, …) where a plain user's PATH does not look. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** Children under way, so that a signal that ends set-up ends them too. */
const runningChildren = new Set();

/** PATH with the system folders added behind what the user has set. */
function searchPath(env = process.env) {
  const folders = (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))];
}

/** The full path of `command` on the search path, or undefined when it is not there. */
export function findCommand(command, env = process.env) {
  for (const folder of searchPath(env)) {
    const path = join(folder, command);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // Not in this folder; the next one may have it.
    }
  }
  return undefined;
}

/** A program that could not be started, or that ended with another status than 0. */
export class CommandError extends Error {
  name = "CommandError";

  /**
   * @param {string} command the command line, as one would type it
   * @param {string} reason what became of it
   * @param {string} output all that it printed
   */
  constructor(command, reason, output) {
    const lines = output.trimEnd().split(/\r?\n|\r/);
    const tail = lines.slice(-QUOTED_LINES).map((line) => `    ${line}`);
    const quoted = output.trim() === "" ? "    (it printed nothing)" : tail.join("\n");
    super(`\`${command}\` ${reason}; the last lines it printed:\n${quoted}`);
    this.command = command;
    this.output = output;
  }
}

/** Ends every child that still runs. For the handler of a signal that ends set-up itself. */
export function endChildren(signal = "SIGTERM") {
  for (const child of runningChildren) child.kill(signal);
}

function describeCommand(command, args) {
  return [command, ...args]
    .map((word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : JSON.stringify(word)))
    .join(" ");
}

/**
 * Runs a program to its end.
 *
 * @param {string} command program name or path
 * @param {string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd] folder to run in; default: this process's own
 * @param {Record<string, string | undefined>} [options.env] added to this process's environment
 * @param {string | Uint8Array} [options.input] what it reads on standard input; default: nothing
 * @param {string} [options.logPath] file to which its output is appended; default: none
 * @param {(line: string) => void} [options.onLine] told each line it prints
 * @returns {Promise<{ stdout: string, stderr: string }>} what it printed, as UTF-8
 * @throws {CommandError} when it cannot be started or does not end with status 0
 */
export function exec(command, args, options = {}) {
  const { cwd, env, input, logPath, onLine } = options;
  const commandLine = describeCommand(command, args);
  const log = (text) => logPath !== undefined && appendFileSync(logPath, text);
  log(`$ ${commandLine}\n`);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, PATH: searchPath().join(delimiter), ...env },
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    runningChildren.add(child);
    const output = { stdout: "", stderr: "", both: "" };
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8");
      child[name].on("data", (text) => {
        output[name] += text;
        output.both += text;
        log(text);
        const line = text
          .trimEnd()
          .split(/[\r\n]+/)
          .at(-1);
        if (line) onLine?.(line);
      });
    }
    // A child that ends before it has read its input must not end us by EPIPE; its status tells enough.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    child.on("error", (error) => {
      runningChildren.delete(child);
      reject(new CommandError(commandLine, `could not be started (${error.message})`, output.both));
    });
    child.on("close", (status, signal) => {
      runningChildren.delete(child);
      if (status === 0) return resolve({ stdout: output.stdout, stderr: output.stderr });
      const reason = signal === null ? `ended with status ${status}` : `was ended by ${signal}`;
      reject(new CommandError(commandLine, reason, output.both));
    });
  });
}
