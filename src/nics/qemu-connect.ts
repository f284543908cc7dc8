/**
 * The client for QEMU's stream sockets, where QEMU is the one that listens: `-netdev stream,server=on` and
 * `-netdev socket,listen=…`. The guest's backend stays the same over all reconnections.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { NetBackend } from "../backend.js";
import { SILENT_LOG, type LogSink } from "../log-sink.js";
import { formatQemuAddress, tuneSocket, type QemuAddress } from "./qemu-address.js";
import { QemuLink, type QemuLinkLimits } from "./qemu-link.js";

/** How a client is set up: where QEMU listens, `path`, or `host` and `port`, and the guest's backend. */
export type ConnectQemuOptions = QemuAddress &
  QemuLinkLimits & {
    /** Stays the caller's, over all reconnections. */
    readonly backend: NetBackend;
    /**
     * How long until a connection that failed or broke is tried again, milliseconds; doubled after each failure up to
     * {@link MAX_RECONNECT_MS}. Default: it is not tried again.
     */
    readonly reconnectMs?: number;
    readonly log?: LogSink;
    /** Closes the client, and ends the wait for the first connection. */
    readonly signal?: AbortSignal;
  };

/** A client of a QEMU that listens. */
export interface QemuClient {
  /** Whether there is a connection now. */
  readonly isConnected: boolean;
  /** Fulfilled when there is no connection and none will be tried. */
  readonly ended: Promise<void>;
  /** Ends the connection. Safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longest wait between two attempts, milliseconds. */
export const MAX_RECONNECT_MS = 30_000;

/**
 * Connects to a QEMU that listens. Fulfilled at the first connection.
 * @throws the system's error where that fails, but with `reconnectMs` only the signal's reason
 */
export async function connectQemu(options: ConnectQemuOptions): Promise<QemuClient> {
  options.signal?.throwIfAborted();
  const client = new ConnectedClient(options);
  await client.firstConnection;
  return client;
}

class ConnectedClient implements QemuClient {
  readonly firstConnection: Promise<void>;
  readonly ended: Promise<void>;
  readonly #options: ConnectQemuOptions;
  readonly #log: LogSink;
  readonly #stop = new AbortController();
  #link: QemuLink | undefined;

  constructor(options: ConnectQemuOptions) {
    this.#options = options;
    this.#log = options.log ?? SILENT_LOG;
    const abort = (): void => {
      this.#stop.abort(options.signal?.reason);
    };
    options.signal?.addEventListener("abort", abort, { once: true });
    let connected: () => void = () => undefined;
    const first = new Promise<void>((resolve) => (connected = resolve));
    const running = this.#run(connected).finally(() => {
      options.signal?.removeEventListener("abort", abort);
    });
    this.ended = running.catch(() => undefined);
    // Fulfilled by the first connection, or rejected with why there was none.
    this.firstConnection = Promise.race([first, running]);
  }

  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  close(): Promise<void> {
    this.#stop.abort();
    return this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Connects and serves until there is to be no further attempt. Rejects where the first one was the last and failed. */
  async #run(connected: () => void): Promise<void> {
    const { reconnectMs } = this.#options;
    const { signal } = this.#stop;
    let delayMs = reconnectMs ?? 0;
    let wasConnected = false;
    for (;;) {
      try {
        const socket = await openSocket(this.#options, signal);
        wasConnected = true;
        connected();
        delayMs = reconnectMs ?? 0;
        await this.#serve(socket);
      } catch (err) {
        if (!wasConnected && (reconnectMs === undefined || signal.aborted)) throw err;
        this.#log.debug({ err }, `${formatQemuAddress(this.#options)} cannot be reached`);
      }
      if (reconnectMs === undefined || signal.aborted) return;
      await pause(delayMs, signal);
      delayMs = Math.min(2 * delayMs, MAX_RECONNECT_MS);
    }
  }

  async #serve(socket: Socket): Promise<void> {
    const { signal } = this.#stop;
    const { backend, maxFrameBytes, maxUnsentBytes } = this.#options;
    const link = new QemuLink({ socket, backend, maxFrameBytes, maxUnsentBytes });
    this.#link = link;
    const close = (): void => {
      link.close();
    };
    signal.addEventListener("abort", close, { once: true });
    this.#log.info({ address: formatQemuAddress(this.#options) }, "connected");
    const { error, backendFailed } = await link.ended;
    signal.removeEventListener("abort", close);
    this.#link = undefined;
    if (error) this.#log.warn({ err: error }, "the connection was ended");
    else this.#log.info({}, "disconnected");
    // Nothing to come back for.
    if (backendFailed) this.#stop.abort();
  }
}

/** A connected socket, or the reason why not. */
function openSocket(address: QemuAddress, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const target =
      "path" in address ? { path: address.path } : { host: address.host, port: address.port };
    const socket = connect(target);
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", (error) => {
      signal.removeEventListener("abort", abort);
      reject(error);
    });
    socket.once("connect", () => {
      signal.removeEventListener("abort", abort);
      socket.removeAllListeners("error");
      tuneSocket(socket);
      resolve(socket);
    });
  });
}

/** Waits, or as long as it is not aborted. */
function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return sleep(delayMs, undefined, { signal }).catch(() => undefined);
}
