/**
 * The page's end of the port to a worker: calls with answers, and the news that the worker is gone.
 *
 * A worker can end without a word (terminated, out of memory, its page's process shared with one that crashed). Two things tell: the port's
 * `close` event, and where a browser has none, a Web Lock that the worker holds and that falls to the page when it lets go. Then
 * every call that waits is rejected, and the owner is told once.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import {
  PROTOCOL_VERSION,
  type Calls,
  type Greeting,
  type Method,
  type PageMessage,
  type WorkerMessage,
} from "./messages.js";
import { packValue, unpackValue } from "./packed-value.js";

/** What is needed of a worker: a browser's `Worker` has it. */
export interface WorkerLike {
  /** Greets the worker; what follows goes by a port. */
  postMessage(message: unknown, transfer: Transferable[]): void;
  /** Told of errors of the worker's script. */
  addEventListener(type: "error", listener: (event: { readonly message?: string }) => void): void;
  /** Ends the worker. */
  terminate(): void;
}

/** Who is told. */
export interface LinkEvents {
  onParcel(buffer: ArrayBuffer): void;
  onMessage(message: Exclude<WorkerMessage, { kind: "answer" | "hello" }>): void;
  onCounters(counters: Uint32Array<ArrayBuffer>): void;
  /** The worker is gone. */
  onDeath(error: SlirpError): void;
  /** A script in the worker threw something that nobody caught; the worker goes on. */
  onScriptError(message: string): void;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/** How long a worker's script may take to load and to answer. */
const HELLO_TIMEOUT_MS = 60_000;

/** See the top of the file. */
export class WorkerLink {
  readonly #worker: WorkerLike;
  readonly #events: LinkEvents;
  readonly #port: MessagePort;
  readonly #pending = new Map<number, Pending>();
  readonly #lockRequest = new AbortController();
  readonly #lockName = `slirp-wasm:${crypto.randomUUID?.() ?? String(Math.random())}`;
  #hello: Pending | undefined;
  #lastId = 0;
  #end: SlirpError | undefined;

  /** Greets the worker. Wait for `hello`, then call. */
  constructor(worker: WorkerLike, events: LinkEvents) {
    this.#worker = worker;
    this.#events = events;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.addEventListener("close", this.#onSilence);
    port1.addEventListener("messageerror", () => {
      this.#die("a message of the worker could not be read");
    });
    port1.onmessage = ({ data }: MessageEvent<ArrayBuffer | WorkerMessage>) => {
      if (data instanceof ArrayBuffer) events.onParcel(data);
      else this.#onMessage(data);
    };
    worker.addEventListener("error", ({ message }) => {
      const text = message ?? "its script cannot be loaded";
      if (this.#hello) this.#die(`the worker did not start: ${text}`);
      else if (!this.#end) events.onScriptError(text);
    });
    const greeting: Greeting = { slirpWasm: PROTOCOL_VERSION, port: port2, lock: this.#lockName };
    worker.postMessage(greeting, [port2]);
  }

  /** For parcels. */
  get port(): MessagePort {
    return this.#port;
  }

  /** Fulfilled when the worker's script has the port. @throws SlirpError `workerFailed`; the signal's reason. */
  async hello(signal: AbortSignal | undefined): Promise<void> {
    const timer = setTimeout(() => {
      const seconds = String(HELLO_TIMEOUT_MS / 1000);
      this.#die(`the worker said nothing for ${seconds} s; its script has to call serveSlirp`);
    }, HELLO_TIMEOUT_MS);
    const onAbort = (): void => {
      this.#hello?.reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#hello = { resolve, reject };
        signal?.throwIfAborted();
      });
    } finally {
      this.#hello = undefined;
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    this.#watchLock();
  }

  /** @throws SlirpError as the stack's own method does, or `workerFailed`. */
  call<Name extends Method>(
    method: Name,
    ...parameters: Calls[Name]["parameters"]
  ): Promise<Calls[Name]["answer"]> {
    if (this.#end) return Promise.reject(this.#end);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const packed = packValue(parameters, method) as unknown[];
      this.post({ kind: "call", id, method, parameters: packed });
      this.#pending.set(id, { resolve, reject });
    });
  }

  /** Nothing is answered to it. */
  post(message: PageMessage): void {
    if (!this.#end) this.#port.postMessage(message);
  }

  /** Ends the link in good order: nothing comes after it. */
  close(error: SlirpError): void {
    if (this.#end) return;
    this.#end = error;
    this.#lockRequest.abort();
    this.#port.close();
    this.#rejectAll(error);
  }

  /** Ends the worker too. */
  terminate(error: SlirpError): void {
    this.close(error);
    this.#worker.terminate();
  }

  /** Node alone: the port keeps the process alive, or does not. */
  setHolding(holds: boolean): void {
    const port = this.#port as { ref?(): void; unref?(): void };
    if (holds) port.ref?.();
    else port.unref?.();
  }

  #onMessage(message: WorkerMessage): void {
    if (message.kind === "hello") {
      if (message.version === PROTOCOL_VERSION) this.#hello?.resolve(undefined as never);
      else this.#die("the worker's script is of another version of slirp-wasm than the page");
    } else if (message.kind === "answer") {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      this.#events.onCounters(message.counters);
      if (message.error === undefined) pending?.resolve(unpackValue(message.value) as never);
      else pending?.reject(unpackValue(message.error));
    } else {
      this.#events.onMessage(message);
    }
  }

  readonly #onSilence = (): void => {
    this.#die("the worker has ended: it was terminated, or ran out of memory");
  };

  #watchLock(): void {
    // Not in Node 20, and not in pages that were not loaded over HTTPS or from this machine.
    const locks = (globalThis as { navigator?: Partial<Navigator> }).navigator?.locks;
    const { signal } = this.#lockRequest;
    locks?.request(this.#lockName, { signal }, this.#onSilence).catch(() => undefined);
  }

  #die(reason: string): void {
    if (this.#end) return;
    const text = `${reason}. Close the backend and make a new one`;
    const error = new SlirpError(ErrorCode.workerFailed, text);
    this.close(error);
    this.#events.onDeath(error);
  }

  #rejectAll(error: SlirpError): void {
    this.#hello?.reject(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
