/** What a page loads in order to have its stack in a worker. */
import { ErrorCode, SlirpError } from "../errors.js";
import type { SlirpBackend } from "../slirp-backend.js";
import { startWorker, type WorkerOption } from "./start-worker.js";
import { WorkerSlirp, type WorkerSlirpParts } from "./worker-slirp.js";

/** Options as `createSlirp` takes them; the signal stays here. */
export type WorkerSlirpOptions = WorkerSlirpParts["options"] & {
  readonly signal?: AbortSignal | undefined;
};

/** See `createSlirp` of the entry `slirp-wasm/browser`. */
export async function createWorkerSlirp(
  option: WorkerOption,
  { signal, ...options }: WorkerSlirpOptions,
  loadFetch: WorkerSlirpParts["loadFetch"],
): Promise<SlirpBackend> {
  signal?.throwIfAborted();
  return WorkerSlirp.create({ ...start(option), options, signal, loadFetch });
}

function start(option: WorkerOption): ReturnType<typeof startWorker> {
  try {
    return startWorker(option);
  } catch (cause) {
    // The page's policy may forbid it, or the function that was given may throw.
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `the worker could not be started: ${reason}`;
    throw new SlirpError(ErrorCode.workerFailed, text, { cause });
  }
}
