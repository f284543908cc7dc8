/**
 * The server for QEMU's stream sockets: `-netdev stream` and `-netdev socket,connect=…`, over unix and TCP sockets.
 *
 * Any number of QEMUs connect, and each is given a backend by a `BackendSource`, one of its own or a port on a shared one. A
 * guest whose connection breaks or whose QEMU starts anew finds its backend again (see guest-backends.ts): with
 * `-netdev stream,…,reconnect=1` (QEMU 8.0 and later; `reconnect-ms=1000` from 9.2 on) QEMU comes back by itself, otherwise
 * when it is started again. What breaks the framing ends that connection alone.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { stat, unlink } from "node:fs/promises";
import type { NetBackend } from "../backend.js";
import type { BackendSource } from "./guest-backends.js";
import { SILENT_LOG, type LogSink } from "../log-sink.js";
import { boundAddress, tuneSocket, type QemuAddress } from "./qemu-address.js";
import { QemuLink, type Identify, type QemuLinkLimits } from "./qemu-link.js";

/** How a server is set up. The address is among them: `path`, or `host` and `port`. */
export type ListenQemuOptions = QemuAddress &
  QemuLinkLimits & {
    /** Where guests get their backends. It stays the caller's: closing the server does not close it. */
    readonly backends: BackendSource;
    /** Guests at the same time; who comes then is turned away. Default 64: each may cost a stack. */
    readonly maxGuests?: number;
    readonly log?: LogSink;
    /** Closes the server. */
    readonly signal?: AbortSignal;
  };

/** A listening server. */
export interface QemuServer {
  /** Where it listens, with the port that it got. */
  readonly address: QemuAddress;
  /** How many guests are connected. */
  readonly guestCount: number;
  /** Ends all connections and stops listening. Safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Listens for QEMUs. A unix socket that nobody listens on any more is replaced, as QEMU does.
 * @throws the system's error (`EADDRINUSE`, `EACCES`, …)
 */
export async function listenQemu(options: ListenQemuOptions): Promise<QemuServer> {
  options.signal?.throwIfAborted();
  const server = createServer();
  if ("path" in options) await removeDeadSocket(options.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(
      "path" in options ? options.path : { host: options.host, port: options.port },
      () => {
        server.off("error", reject);
        resolve();
      },
    );
  });
  const listening = new ListeningServer(server, options);
  if (options.signal?.aborted) await listening.close();
  return listening;
}

class ListeningServer implements QemuServer {
  readonly address: QemuAddress;
  readonly #server: Server;
  readonly #options: ListenQemuOptions;
  readonly #log: LogSink;
  readonly #maxGuests: number;
  /** What is under way for each connection, and its links. */
  readonly #serving = new Set<Promise<void>>();
  readonly #sockets = new Set<Socket>();
  readonly #links = new Set<QemuLink>();
  readonly #onAbort = (): void => {
    void this.close();
  };
  #count = 0;
  #closing: Promise<void> | undefined;

  constructor(server: Server, options: ListenQemuOptions) {
    this.#server = server;
    this.#options = options;
    this.#log = options.log ?? SILENT_LOG;
    this.#maxGuests = options.maxGuests ?? 64;
    this.address = boundAddress(server, options);
    server.on("error", (err) => {
      this.#log.warn({ err }, "accepting a connection failed");
    });
    server.on("connection", (socket) => {
      this.#accept(socket);
    });
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get guestCount(): number {
    return this.#links.size;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    for (const link of this.#links) link.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#serving);
    await closed;
  }

  #accept(socket: Socket): void {
    this.#count++;
    const guest = `guest ${String(this.#count)}`;
    // Until there is a link: an error must not be without a listener.
    socket.on("error", () => undefined);
    if (this.#sockets.size >= this.#maxGuests) {
      this.#log.warn({ guest }, `turned away: there are ${String(this.#maxGuests)} guests already`);
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    tuneSocket(socket);
    const serving = this.#serve(socket, guest).finally(() => {
      this.#sockets.delete(socket);
      this.#serving.delete(serving);
    });
    this.#serving.add(serving);
  }

  async #serve(socket: Socket, guest: string): Promise<void> {
    const { backends } = this.#options;
    let backend: NetBackend;
    try {
      backend = await backends.take();
    } catch (err) {
      this.#log.warn({ err, guest }, "turned away: no backend is to be had");
      socket.destroy();
      return;
    }
    if (this.#closing || socket.destroyed) {
      backends.release(backend, false);
      return;
    }
    const { maxFrameBytes, maxUnsentBytes } = this.#options;
    const identify = backends.identify && this.#identifying(guest);
    const link = new QemuLink({ socket, backend, maxFrameBytes, maxUnsentBytes, identify });
    this.#links.add(link);
    this.#log.info({ guest, backend: backend.name }, "connected");
    const { error, backendFailed } = await link.ended;
    this.#links.delete(link);
    if (link.backend) backends.release(link.backend, backendFailed);
    if (error) this.#log.warn({ err: error, guest }, "the connection was ended");
    else this.#log.info({ guest }, "disconnected");
  }

  #identifying(guest: string): Identify {
    return async (backend, mac) => {
      const identified = (await this.#options.backends.identify?.(backend, mac)) ?? backend;
      this.#log.debug({ guest, mac, backend: identified.name }, "identified");
      return identified;
    };
  }
}

/** Removes the file of a unix socket that refuses connections: who listened there died without removing it. */
async function removeDeadSocket(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isSocket()) return;
  const isDead = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "ECONNREFUSED");
    });
  });
  if (isDead) await unlink(path);
}
