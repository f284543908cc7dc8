/**
 * A slirp backend whose stack runs in a worker: the same interface as `Slirp`, by messages.
 *
 * Frames are WorkerBackend's; here is what a stack offers beyond them. Rules are read and refused by the stack, which sends its
 * error over with class and code.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type {
  ConnectionDescription,
  GuestChannel,
  GuestChannelOptions,
  GuestConnectOptions,
  GuestSocket,
  LogLevel,
  SlirpBackend,
  SocketDescription,
} from "../slirp-backend.js";
import type { GuestForward, HostForward, ResolvedSlirpOptions } from "../slirp-options.js";
import { abortable } from "./abortable.js";
import type { Calls, CreatedStack, PlainMethod, WorkerMessage } from "./messages.js";
import { packValue, unpackValue, type Callback } from "./packed-value.js";
import { RemoteChannel } from "./remote-channel.js";
import { RemoteSocket } from "./remote-socket.js";
import { WorkerBackend } from "./worker-backend.js";
import { WorkerLink, type WorkerLike } from "./worker-link.js";

/** How a stack in a worker is made. */
export interface WorkerSlirpParts {
  readonly worker: WorkerLike;
  /** The worker is this stack's alone and ends with it. */
  readonly ownsWorker: boolean;
  /** What `createSlirp` was given, `worker` and `signal` left out. */
  readonly options: Readonly<Record<string, unknown>> & {
    readonly onLog?: ((level: LogLevel, text: string) => void) | undefined;
  };
  readonly signal?: AbortSignal | undefined;
  /** Loads what makes `fetch` of `connect`: it runs on this side, and is the same for every stack. */
  readonly loadFetch: () => Promise<{ readonly fetchFromGuest: FetchFromGuest }>;
}

/** `fetch` to a web server in the guest, over connections. */
export type FetchFromGuest = (
  connect: SlirpBackend["connect"],
  ...request: Parameters<SlirpBackend["fetch"]>
) => Promise<Response>;

/** What the link tells before there is a backend. */
interface Receiver {
  backend?: WorkerSlirp;
  /** Functions among the options, by number. */
  readonly callbacks: Callback[];
}

/** See the top of the file. */
export class WorkerSlirp extends WorkerBackend implements SlirpBackend {
  readonly options: ResolvedSlirpOptions;
  readonly libslirpVersion: string;

  readonly #parts: WorkerSlirpParts;
  readonly #link: WorkerLink;
  readonly #channels = new Map<number, RemoteChannel>();
  readonly #onAbort = (): void => {
    void this.close();
  };
  #lastSocket = 0;
  #lastChannel = 0;

  private constructor(parts: WorkerSlirpParts, link: WorkerLink, created: CreatedStack) {
    super(link, created.capabilities);
    this.#parts = parts;
    this.#link = link;
    this.options = created.options;
    this.libslirpVersion = created.libslirpVersion;
    parts.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * Greets the worker and has it make a stack.
   * @throws SlirpError `workerFailed`, `unsupportedOption` for options that cannot go into a worker, and what the stack's making throws.
   */
  static async create(parts: WorkerSlirpParts): Promise<WorkerSlirp> {
    const { worker, ownsWorker, options, signal } = parts;
    const receiver: Receiver = { callbacks: [] };
    const link = new WorkerLink(worker, {
      onParcel: (buffer) => receiver.backend?.takeParcel(buffer),
      onCounters: (counters) => receiver.backend?.takeCounters(counters),
      onDeath: (error) => receiver.backend?.fail(error),
      onScriptError: (text) => options.onLog?.("critical", `in the worker: ${text}`),
      onMessage: (message) => {
        if (message.kind === "callback") call(receiver, message);
        else receiver.backend?.takeMessage(message);
      },
    });
    try {
      const packed = packValue(options, "", (callback) => receiver.callbacks.push(callback) - 1);
      await link.hello(signal);
      const created = await abortable(link.call("create", packed), signal);
      receiver.backend = new WorkerSlirp(parts, link, created);
      return receiver.backend;
    } catch (error) {
      const ended = new SlirpError(ErrorCode.closed, "the stack was not made");
      // A worker that goes on may have made one all the same.
      link.call("close").catch(() => undefined);
      if (ownsWorker) link.terminate(ended);
      else link.close(ended);
      throw error;
    }
  }

  addForward(forward: HostForward | string): Promise<HostForward> {
    return this.#ask("addForward", forward);
  }

  removeForward(forward: HostForward | string): Promise<void> {
    return this.#ask("removeForward", forward);
  }

  forwards(): Promise<HostForward[]> {
    return this.#ask("forwards");
  }

  addGuestForward(forward: GuestForward): Promise<void> {
    return this.#ask("addGuestForward", forward);
  }

  guestForwards(): Promise<GuestForward[]> {
    return this.#ask("guestForwards");
  }

  saveState(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#ask("saveState");
  }

  loadState(saved: Uint8Array): Promise<void> {
    return this.#ask("loadState", saved);
  }

  connectionInfo(): Promise<string> {
    return this.#ask("connectionInfo");
  }

  neighborInfo(): Promise<string> {
    return this.#ask("neighborInfo");
  }

  connections(): Promise<ConnectionDescription[]> {
    return this.#ask("connections");
  }

  sockets(): Promise<SocketDescription[]> {
    return this.#ask("sockets");
  }

  async openGuestChannel(options: GuestChannelOptions): Promise<GuestChannel> {
    this.checkOpen();
    const id = ++this.#lastChannel;
    const channel = new RemoteChannel(options, (bytes) => {
      this.checkOpen();
      this.#link.post({ kind: "channelData", channel: id, bytes });
    });
    this.#channels.set(id, channel);
    try {
      await this.#link.call("openChannel", id, options.address, options.port);
      return channel;
    } catch (error) {
      this.#channels.delete(id);
      throw error;
    }
  }

  async connect(options: GuestConnectOptions): Promise<GuestSocket> {
    this.checkOpen();
    const { signal, ...rest } = options;
    signal?.throwIfAborted();
    const id = ++this.#lastSocket;
    const abort = (): void => {
      this.#link.post({ kind: "abortSocket", socket: id });
    };
    let socket: RemoteSocket | undefined;
    const onAbort = (): void => {
      if (socket) socket.abort(signal?.reason);
      else abort();
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const forget = (): void => {
      signal?.removeEventListener("abort", onAbort);
    };
    try {
      const opened = await abortable(this.#link.call("connect", id, rest), signal);
      socket = new RemoteSocket(opened, {
        closed: this.#link.call("socketClosed", id),
        close: () => {
          this.#link.post({ kind: "closeSocket", socket: id });
        },
        abort,
      });
      socket.closed.then(forget, forget);
      return socket;
    } catch (error) {
      forget();
      throw error;
    }
  }

  async fetch(...request: Parameters<SlirpBackend["fetch"]>): Promise<Response> {
    const { fetchFromGuest } = await this.#parts.loadFetch();
    return fetchFromGuest((options) => this.connect(options), ...request);
  }

  ref(): void {
    this.#link.setHolding(true);
  }

  unref(): void {
    this.#link.setHolding(false);
  }

  /** A message that is neither answer nor callback. */
  takeMessage(message: Exclude<WorkerMessage, { kind: "answer" | "hello" | "callback" }>): void {
    switch (message.kind) {
      case "failed":
        this.fail(unpackValue(message.error) as SlirpError);
        return;
      case "channelData":
        this.#channels.get(message.channel)?.takeData(message.bytes);
        return;
      case "channelTaken":
        if (!this.isClosed) this.#channels.get(message.channel)?.takeCredit(message.bytes);
        return;
    }
  }

  protected override log(text: string): void {
    this.#parts.options.onLog?.("critical", text);
  }

  protected override async release(): Promise<void> {
    this.#parts.signal?.removeEventListener("abort", this.#onAbort);
    // Where the worker is gone there is nothing to close.
    await this.#link.call("close").catch(() => undefined);
    const ended = new SlirpError(ErrorCode.closed, "the slirp backend is closed");
    if (this.#parts.ownsWorker) this.#link.terminate(ended);
    else this.#link.close(ended);
  }

  async #ask<Name extends PlainMethod>(
    method: Name,
    ...parameters: Calls[Name]["parameters"]
  ): Promise<Calls[Name]["answer"]> {
    this.checkOpen();
    this.flush();
    return this.#link.call(method, ...parameters);
  }
}

function call({ callbacks }: Receiver, message: { id: number; args: readonly unknown[] }): void {
  callbacks[message.id]?.(...(unpackValue(message.args) as unknown[]));
}
