/**
 * Listening TCP and unix sockets on `net.Server`.
 *
 * Node accepts whatever the kernel has; it cannot be told to leave connections in the kernel's queue. So they wait here,
 * not being read, until the stack accepts them. Beyond {@link MAX_WAITING} a connection is reset at once, which is what a
 * system with a full queue may do too: the stack takes connections every turn, so that many wait only when it has stopped.
 *
 * `exclusive`: the address is bound by this process itself even in a worker of Node's `cluster`, whose port sharing would
 * hand our guest's connections to another worker.
 *
 * A listener at the IPv6 wildcard that takes IPv4 too shows IPv4 ends as sockets do: family 6, ::ffff:a.b.c.d.
 */
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import type { HostEndpoint } from "../address.js";
import { Readiness, type HostListener, type HostStream } from "../host-network.js";
import { errnoOf } from "./errno-of.js";
import { explainUnixInUse } from "./explain-unix-in-use.js";
import { bindError, endpointOf, hostText, isUsablePath, systemError } from "./node-endpoints.js";
import type { NodeLoop, Resource } from "./node-loop.js";
import { NodeStream } from "./node-stream.js";
import { ReadinessSource } from "../readiness-source.js";

/** Connections that may wait to be accepted here. */
const MAX_WAITING = 128;

/** Connections that may wait in the kernel until Node comes round to them; Node's own default, for bursts. */
const BACKLOG = 511;

export class NodeListener extends ReadinessSource implements HostListener, Resource {
  readonly #loop: NodeLoop;
  readonly #lingerMs: number;
  readonly #wanted: HostEndpoint;
  readonly #server: Server;
  readonly #waiting: NodeStream[] = [];
  #local: HostEndpoint | undefined;
  #closed = false;

  /** Binds and listens: see the contract. `lingerMs` is for the streams that come of it. */
  static async listen(
    loop: NodeLoop,
    lingerMs: number,
    local: HostEndpoint,
    options: { ipv6Only?: boolean } | undefined,
  ): Promise<NodeListener> {
    if (local.family === "unix" && !isUsablePath(local.path)) {
      throw systemError("EINVAL", `cannot bind unix:${local.path}: too long a path, or none`);
    }
    const listener = new NodeListener(loop, lingerMs, local);
    try {
      await listener.#listen(options?.ipv6Only ?? false);
    } catch (error) {
      if (local.family === "unix") await explainUnixInUse(local, error);
      throw bindError(local, "tcp", error);
    }
    return listener;
  }

  private constructor(loop: NodeLoop, lingerMs: number, wanted: HostEndpoint) {
    super();
    this.#loop = loop;
    this.#lingerMs = lingerMs;
    this.#wanted = wanted;
    // highWaterMark 1: Node itself keeps at most one read of a connection that is paused.
    this.#server = createServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      highWaterMark: 1,
    });
    loop.add(this);
    this.#server.on("connection", (socket) => this.#onConnection(socket));
    // Later errors are of single connections that could not be accepted (EMFILE, ECONNABORTED); libuv has turned them away.
    this.#server.on("error", (error) => this.keepError(errnoOf(error)));
    this.#server.on("close", () => loop.remove(this));
  }

  get localEndpoint(): HostEndpoint {
    return this.#local ?? this.#wanted;
  }

  accept(): HostStream | undefined {
    const stream = this.#waiting.shift();
    if (this.#waiting.length === 0) this.owe(Readiness.readable);
    stream?.start();
    return stream;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    for (const stream of this.#waiting) stream.reset();
    this.#waiting.length = 0;
    if (this.#server.listening) this.#server.close();
  }

  abort(): void {
    this.close();
  }

  setRef(hold: boolean): void {
    if (hold) this.#server.ref();
    else this.#server.unref();
  }

  #listen(ipv6Only: boolean): Promise<void> {
    const wanted = this.#wanted;
    const target: ListenOptions =
      wanted.family === "unix"
        ? { path: wanted.path }
        : { host: hostText(wanted), port: wanted.port, ipv6Only };
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#loop.remove(this);
        reject(error);
      };
      this.#server.once("error", fail);
      this.#server.listen({ ...target, backlog: BACKLOG, exclusive: true }, () => {
        this.#server.off("error", fail);
        this.takeError();
        if (this.#closed) {
          this.#server.close();
          reject(systemError("ENETDOWN", "the host network was closed meanwhile"));
          return;
        }
        this.#rememberEndpoint();
        resolve();
      });
    });
  }

  #rememberEndpoint(): void {
    const address = this.#server.address();
    if (address === null || typeof address === "string") return;
    this.#local = endpointOf(address.address, address.port);
  }

  #onConnection(socket: Socket): void {
    // Without a remote address the other side has gone already.
    const remote = this.#remoteOf(socket);
    const parts = { loop: this.#loop, lingerMs: this.#lingerMs };
    const stream = new NodeStream(
      { ...parts, remote: remote ?? this.#wanted },
      socket,
      this.#localOf(socket),
    );
    if (this.#closed || !remote || this.#waiting.length >= MAX_WAITING) {
      stream.reset();
      return;
    }
    this.#waiting.push(stream);
    this.raise(Readiness.readable);
  }

  #remoteOf(socket: Socket): HostEndpoint | undefined {
    if (this.#wanted.family === "unix") return { family: "unix", path: "" };
    return endpointOf(socket.remoteAddress, socket.remotePort);
  }

  #localOf(socket: Socket): HostEndpoint {
    return endpointOf(socket.localAddress, socket.localPort) ?? this.localEndpoint;
  }
}
