// The processes of a benchmark. A child is a file of bench/processes that answers requests over Node's IPC; both ends are
// here. Every child answers `cpuSeconds` too: the processor time it has used so far, user and system.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const END_TIMEOUT_MS = 5_000;

/** The parent's end of a child. */
export class Child {
  #process;
  #name;
  #lastId = 0;
  #waiting = new Map();
  #ended;

  /**
   * @param {string} name of the file in bench/processes, without ".mjs"
   * @param {string[]} [args]
   * @param {string[]} [execArgv] options of Node
   */
  constructor(name, args = [], execArgv = []) {
    const file = fileURLToPath(new URL(`../processes/${name}.mjs`, import.meta.url));
    this.#name = [name, ...args].join(" ");
    // What a child prints is not the benchmark's output.
    this.#process = fork(file, args, { execArgv, stdio: ["ignore", 2, 2, "ipc"] });
    this.#process.on("message", ({ id, result, error }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`${this.#name}: ${error}`));
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => {
        for (const { reject } of this.#waiting.values()) {
          reject(new Error(`${this.#name} has ended (${signal ?? `status ${code}`})`));
        }
        this.#waiting.clear();
        resolve();
      });
    });
  }

  get pid() {
    return this.#process.pid;
  }

  /** Asks for something and waits for the answer, however long it takes. */
  ask(verb, ...parameters) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (!this.#process.connected) {
        reject(new Error(`${this.#name} has ended`));
        return;
      }
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, verb, parameters });
    });
  }

  /** Ends it: politely, by closing the channel, then by force. */
  async stop() {
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), END_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

/**
 * The child's end: answers requests until the parent closes the channel, then ends the process.
 *
 * @param {Record<string, (...parameters: any[]) => unknown>} handlers by verb
 */
export function answerRequests(handlers) {
  const all = { cpuSeconds: () => cpuSeconds(), ...handlers };
  process.on("message", async ({ id, verb, parameters }) => {
    try {
      reply({ id, result: await all[verb](...parameters) });
    } catch (error) {
      reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on("disconnect", () => process.exit(0));
}

function reply(message) {
  if (process.connected) process.send(message);
}

/** Processor time of this process so far, user and system. */
export function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
