/**
 * A worker of Node with stacks in it, in place of a browser's: its script is bundled from a program of a few lines, which says what the
 * stacks' network is.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker, type TransferListItem, type WorkerOptions } from "node:worker_threads";
import { moduleUrl } from "../../src/slirp/load-module.js";
import { createWorkerSlirp } from "../../src/worker/create-worker-slirp.js";
import type { SlirpBackend } from "../../src/slirp-backend.js";
import type { WorkerLike } from "../../src/worker/worker-link.js";
import { bundleProgram } from "../host-network-contract/bundle-program.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Node's own worker with the face of a browser's. */
export class NodeWorker implements WorkerLike {
  readonly thread: Worker;
  /** What the script itself has posted. */
  onPosted: ((message: unknown) => void) | undefined;

  constructor(script: string, options?: WorkerOptions) {
    this.thread = new Worker(script, options);
    this.thread.on("message", (message: unknown) => this.onPosted?.(message));
    // An error ends a worker of Node; who wants to know listens for it.
    this.thread.on("error", () => undefined);
  }

  postMessage(message: unknown, transfer: TransferListItem[]): void {
    this.thread.postMessage(message, transfer);
  }

  addEventListener(_type: "error", listener: (event: { readonly message?: string }) => void): void {
    this.thread.on("error", listener);
  }

  terminate(): void {
    void this.thread.terminate();
  }
}

/** A script that serves stacks on the host network that `network` says (TypeScript, an expression). */
export interface WorkerScript extends AsyncDisposable {
  readonly path: string;
}

/** Writes one. `imports` is put before it. */
export async function makeWorkerScript(imports: string, network: string): Promise<WorkerScript> {
  const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-worker-"));
  const path = join(folder, "worker.mjs");
  const source = `
    import { parentPort } from "node:worker_threads";
    import { createSlirp } from "../../src/node.js";
    import { serveStacks } from "../../src/worker/serve-stack.js";
    ${imports}
    serveStacks(
      (options) => createSlirp({ ...options, hostNetwork: ${network} }),
      { addEventListener: (_, listener) => parentPort!.on("message", (data) => listener({ data })) },
    );`;
  await bundleProgram(source, HERE, path);
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

const loadFetch = () => import("../../src/slirp/guest-fetch.js");

/** A stack in a worker; the module goes there as bytes. */
export async function createInWorker(
  worker: NodeWorker | (() => NodeWorker),
  options: Record<string, unknown> = {},
): Promise<SlirpBackend> {
  const wasm = await readFile(moduleUrl);
  return createWorkerSlirp(worker, { wasm, ...options }, loadFetch);
}
