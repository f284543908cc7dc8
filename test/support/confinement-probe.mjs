// Loaded into a program by `node --import`: on SIGUSR2 it tries what a confined program should not be able to do, and prints one line of
// JSON with what came of it.
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { Worker } from "node:worker_threads";

const FORBIDDEN = process.env.PROBE_FOLDER;

/** The error's code, or "done". */
function codeOf(attempt) {
  try {
    attempt();
    return "done";
  } catch (error) {
    return error.code ?? String(error);
  }
}

function startWorker() {
  return new Promise((resolve) => {
    const worker = new Worker("", { eval: true });
    worker.once("exit", () => resolve("done"));
    worker.once("error", (error) => resolve(error.code ?? String(error)));
  });
}

process.on("SIGUSR2", async () => {
  const answers = {
    startProgram: spawnSync("/bin/true").error?.code ?? "done",
    writeFile: codeOf(() => closeSync(openSync(`${FORBIDDEN}/written`, "w"))),
    readFile: codeOf(() => readFileSync(`${FORBIDDEN}/readable`)),
    readConfiguration: codeOf(() => readFileSync("/etc/hostname")),
    signalParent: codeOf(() => process.kill(process.ppid, 0)),
    // Node can still do what it is there for.
    startThread: await startWorker(),
    lookAtFile: codeOf(() => statSync("/etc")),
  };
  process.stdout.write(`PROBE ${JSON.stringify(answers)}\n`);
});
