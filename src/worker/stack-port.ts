/**
 * One stack and its port, in the worker: runs the page's calls on it, and says what became of them. Frames are FrameRelay's.
 */
import type { HeaderLength } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type {
  GuestConnectOptions,
  GuestSocket,
  SlirpBackend,
  SocketBytes,
} from "../slirp-backend.js";
import { FrameRelay } from "./frame-relay.js";
import type {
  Calls,
  CreatedStack,
  Method,
  OpenedSocket,
  PageMessage,
  WorkerMessage,
} from "./messages.js";
import { packError, packValue, unpackValue } from "./packed-value.js";
import { ServedChannel } from "./served-channel.js";

const HEADER_LENGTHS: readonly HeaderLength[] = [0, 10, 12];

type Handlers = {
  [Name in Method]: (...parameters: Calls[Name]["parameters"]) => unknown;
};

/** A connection of the page's. */
interface ServedSocket {
  readonly socket: GuestSocket;
  /** Settled when all that the page has written, and its end, have gone on to the connection. */
  readonly written: Promise<void>;
}

/** Makes a stack from the options that the page was given. */
export type MakeStack = (options: Readonly<Record<string, unknown>>) => Promise<SlirpBackend>;

/** See the top of the file. */
export class StackPort {
  /** Fulfilled when the stack is closed. */
  readonly ended: Promise<void>;
  readonly #port: MessagePort;
  readonly #makeStack: MakeStack;
  readonly #frames: FrameRelay;
  readonly #aborts = new Map<number, AbortController>();
  readonly #sockets = new Map<number, ServedSocket>();
  readonly #channels = new Map<number, ServedChannel>();
  #stack: SlirpBackend | undefined;
  #isClosed = false;
  #tellEnd!: () => void;

  constructor(port: MessagePort, makeStack: MakeStack) {
    this.#port = port;
    this.#makeStack = makeStack;
    this.#frames = new FrameRelay(port);
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    port.addEventListener("close", () => void this.#close());
    port.onmessage = ({ data }: MessageEvent<ArrayBuffer | PageMessage>) => {
      if (data instanceof ArrayBuffer) this.#frames.takeParcel(data);
      else this.#take(data);
    };
  }

  /** Sends a message to the page. What cannot be sent is a fault here, and must not end the worker. */
  post(message: WorkerMessage, transfer: Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  #take(message: PageMessage): void {
    switch (message.kind) {
      case "call":
        void this.#run(message);
        return;
      case "capabilities":
        this.#frames.setCapabilities(message.features, message.header);
        return;
      case "abortSocket":
        this.#aborts.get(message.socket)?.abort();
        return;
      case "closeSocket":
        void closeWhenWritten(this.#sockets.get(message.socket));
        return;
      case "channelData":
        this.#channels.get(message.channel)?.take(message.bytes);
        return;
    }
  }

  async #run({ id, method, parameters }: Extract<PageMessage, { kind: "call" }>): Promise<void> {
    const answer = { kind: "answer", id } as const;
    try {
      const handler = this.#handlers[method] as (...parameters: unknown[]) => unknown;
      const value = await handler(...(unpackValue(parameters, this.#callBack) as unknown[]));
      if (method === "connect") {
        this.#answerConnect({ ...answer, counters: this.#counters() }, value as OpenedSocket);
      } else {
        this.post({ ...answer, value: packValue(value, method), counters: this.#counters() });
      }
    } catch (error) {
      this.post({ ...answer, error: packError(error), counters: this.#counters() });
    }
  }

  readonly #handlers: Handlers = {
    create: (options) => this.#create(options),
    addForward: (forward) => this.#open.addForward(forward),
    removeForward: (forward) => this.#open.removeForward(forward),
    forwards: () => this.#open.forwards(),
    addGuestForward: (forward) => this.#open.addGuestForward(forward),
    guestForwards: () => this.#open.guestForwards(),
    saveState: () => this.#open.saveState(),
    loadState: (saved) => this.#open.loadState(saved),
    connectionInfo: () => this.#open.connectionInfo(),
    neighborInfo: () => this.#open.neighborInfo(),
    connections: () => this.#open.connections(),
    sockets: () => this.#open.sockets(),
    connect: (socket, options) => this.#connect(socket, options),
    socketClosed: (socket) => this.#whenClosed(socket),
    openChannel: (channel, address, port) => this.#openChannel(channel, address, port),
    close: () => this.#close(),
  };

  get #open(): SlirpBackend {
    if (this.#stack) return this.#stack;
    throw new SlirpError(ErrorCode.protocolViolation, "the worker was asked before it had a stack");
  }

  async #create(options: unknown): Promise<CreatedStack> {
    const stack = await this.#makeStack(options as Record<string, unknown>);
    if (this.#isClosed) {
      await stack.close();
      throw new SlirpError(ErrorCode.closed, "the stack was closed while it was being made");
    }
    this.#stack = stack;
    this.#frames.attach(stack, (error) => {
      this.post({ kind: "failed", error: packError(error) });
    });
    const capabilities = HEADER_LENGTHS.map((length) => [length, stack.capabilities(length)]);
    return {
      options: stack.options,
      libslirpVersion: stack.libslirpVersion,
      capabilities: Object.fromEntries(capabilities) as CreatedStack["capabilities"],
    };
  }

  readonly #callBack = (id: number, args: unknown[]): void => {
    if (this.#isClosed) return;
    try {
      this.post({ kind: "callback", id, args: packValue(args, "callback") as unknown[] });
    } catch (error) {
      this.post({ kind: "callback", id, args: [packError(error)] });
    }
  };

  async #connect(id: number, options: Omit<GuestConnectOptions, "signal">): Promise<OpenedSocket> {
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    try {
      const socket = await this.#open.connect({ ...options, signal: abort.signal });
      const { readable: written, writable } = new TransformStream<SocketBytes, SocketBytes>();
      // A connection that fails says so by its `closed`.
      const ended = written.pipeTo(socket.writable).catch(() => undefined);
      this.#sockets.set(id, { socket, written: ended });
      return { readable: socket.readable, writable, info: await socket.opened };
    } catch (error) {
      this.#aborts.delete(id);
      throw error;
    }
  }

  /** @throws SlirpError `unsupportedOption` where streams cannot be transferred, as in older versions of Safari. */
  #answerConnect(
    answer: Omit<Extract<WorkerMessage, { kind: "answer" }>, "value">,
    socket: OpenedSocket,
  ): void {
    try {
      this.post({ ...answer, value: socket }, [socket.readable, socket.writable]);
    } catch (cause) {
      const text = "connect: this browser cannot transfer streams; use a stack without a worker";
      throw new SlirpError(ErrorCode.unsupportedOption, text, { cause });
    }
  }

  async #whenClosed(id: number): Promise<undefined> {
    try {
      return await this.#sockets.get(id)?.socket.closed;
    } finally {
      this.#sockets.delete(id);
      this.#aborts.delete(id);
    }
  }

  async #openChannel(id: number, address: unknown, port: number): Promise<void> {
    const served = new ServedChannel((bytes) => {
      this.post({ kind: "channelTaken", channel: id, bytes });
    });
    served.channel = await this.#open.openGuestChannel({
      address: address as never,
      port,
      onData: (bytes) => {
        this.post({ kind: "channelData", channel: id, bytes });
      },
      onWritable: () => {
        served.sendWaiting();
      },
    });
    this.#channels.set(id, served);
  }

  /** Dropped from the guest, dropped towards it, pages of memory. */
  #counters(): Uint32Array<ArrayBuffer> {
    return this.#frames.counters();
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      await this.#stack?.close();
    } finally {
      this.#tellEnd();
    }
  }
}

/** What is written comes by the stream's own port, and may come later than the message that closes. */
async function closeWhenWritten(served: ServedSocket | undefined): Promise<void> {
  await served?.written;
  await served?.socket.close().catch(() => undefined);
}
