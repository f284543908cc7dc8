/** What `createSlirp({ worker })` can be given, and the worker that comes of it. */
import type { WorkerLike } from "./worker-link.js";

/**
 * `true`: the package's own script. A URL: that of a module which calls `serveSlirp` (`slirp-wasm/worker`). A function: makes the worker.
 * A worker: one that goes on when the stack is closed; all others end with it.
 */
export type WorkerOption = true | string | URL | WorkerLike | (() => WorkerLike);

/** See {@link WorkerOption}. */
export function startWorker(option: WorkerOption): { worker: WorkerLike; ownsWorker: boolean } {
  if (option === true) {
    // Bundlers know this form, and build the script along.
    const worker = new Worker(new URL("../slirp-worker.js", import.meta.url), { type: "module" });
    return { worker, ownsWorker: true };
  }
  if (typeof option === "function") return { worker: option(), ownsWorker: true };
  if (typeof option === "string" || option instanceof URL) {
    return { worker: new Worker(option, { type: "module" }), ownsWorker: true };
  }
  return { worker: option, ownsWorker: false };
}
