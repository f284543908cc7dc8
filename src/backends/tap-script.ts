/**
 * Scripts that are run when an interface is there and before it goes, as QEMU does it: with the interface's name as their argument, and
 * with an exit status that counts.
 */
import { execFile, spawnSync } from "node:child_process";
import { onExit } from "signal-exit";
import { ErrorCode, SlirpError } from "../errors.js";

/** QEMU's word for "none". */
const NONE = "no";

interface ScriptResult {
  readonly code: number | string | null | undefined;
  readonly signal: string | null | undefined;
  readonly stderr: string;
}

/** Runs a script to its end. @throws SlirpError `deviceFailed` unless it ends with status 0 */
export function runScript(script: string, interfaceName: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(script, [interfaceName], (error, _stdout, stderr) => {
      if (!error) {
        resolve();
        return;
      }
      const { code, signal } = error;
      reject(failure(script, interfaceName, { code, signal: signal ?? null, stderr }, error));
    });
  });
}

function failure(
  script: string,
  interfaceName: string,
  { code, signal, stderr }: ScriptResult,
  cause: Error,
): SlirpError {
  const words = stderr.trim().split("\n").at(-1) ?? "";
  const how =
    typeof code === "number"
      ? `ended with status ${code}`
      : signal
        ? `was ended by ${signal}`
        : `could not be run (${String(code)})`;
  const text = `the script ${JSON.stringify(script)} for ${interfaceName} ${how}${words === "" ? "" : `: ${words}`}`;
  return new SlirpError(ErrorCode.deviceFailed, text, { cause });
}

/** Whether there is a script at all. */
export function isScript(script: string | undefined): script is string {
  return script !== undefined && script !== NONE && script !== "";
}

/**
 * The script for an interface's end. It is run once: when the backend is closed, or else when the process (of a worker: its thread) exits, or
 * is ended by a signal such as SIGTERM that nobody else listens to. Who listens decides what becomes of the process. Not run where nothing
 * can be: by SIGKILL, when a worker is terminated, and, for a backend of a worker, by a signal.
 */
export class DownScript {
  readonly #script: string;
  readonly #interfaceName: string;
  #disarm: (() => void) | undefined;

  constructor(script: string, interfaceName: string) {
    this.#script = script;
    this.#interfaceName = interfaceName;
  }

  /** From now on the process's end runs it. */
  arm(): void {
    this.#disarm = onExit(() => {
      // Too late for anyone to be told how it ended.
      spawnSync(this.#script, [this.#interfaceName], { stdio: "ignore" });
    });
  }

  /** It is not to be run any more. */
  cancel(): void {
    this.#disarm?.();
    this.#disarm = undefined;
  }

  /** Runs it now. @throws SlirpError `deviceFailed` unless it ends with status 0 */
  run(): Promise<void> {
    this.cancel();
    return runScript(this.#script, this.#interfaceName);
  }
}
