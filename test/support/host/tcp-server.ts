/**
 * A TCP (or unix) server on the host whose connections a test treats as it likes: half-open ones stay open, errors are
 * kept, and all are gone when the server is disposed of.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** How a connection ended. */
export interface ConnectionEnd {
  /** Of what was received. */
  readonly sha256: string;
  readonly bytes: number;
  /** The other side has sent FIN. */
  readonly sawFin: boolean;
  /** Code of the error that ended it, such as ECONNRESET. */
  readonly errorCode: string | undefined;
}

/** See the top of the file. */
export class HostTcpServer {
  /** How many connections have come. */
  connectionCount = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ends: Promise<ConnectionEnd>[] = [];
  readonly #handle: (socket: Socket) => void;

  /** @param at a loopback address, on which a free port is taken, or a path */
  static async start(
    at: "127.0.0.1" | "::1" | { path: string },
    handle: (socket: Socket) => void,
  ): Promise<HostTcpServer> {
    const server = new HostTcpServer(handle);
    server.#server.listen(typeof at === "string" ? { host: at, port: 0 } : at);
    await once(server.#server, "listening");
    return server;
  }

  private constructor(handle: (socket: Socket) => void) {
    this.#handle = handle;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#take(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections are open. */
  get openCount(): number {
    return this.#sockets.size;
  }

  /** How the connection with this number, from 0 on, ended; it must have come already. */
  endOf(index: number): Promise<ConnectionEnd> {
    const end = this.#ends[index];
    if (!end) throw new Error(`connection ${String(index)} has not come`);
    return end;
  }

  #take(socket: Socket): void {
    this.connectionCount++;
    this.#sockets.add(socket);
    const hash = createHash("sha256");
    let bytes = 0;
    let sawFin = false;
    let errorCode: string | undefined;
    socket.on("data", (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.on("end", () => {
      sawFin = true;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      errorCode = error.code;
    });
    const end = new Promise<ConnectionEnd>((resolve) => {
      socket.once("close", () => {
        this.#sockets.delete(socket);
        resolve({ sha256: hash.digest("hex"), bytes, sawFin, errorCode });
      });
    });
    this.#ends.push(end);
    this.#handle(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#ends);
  }
}

/** A port of this address at which nobody listens: one that was just free. */
export async function closedPort(host: "127.0.0.1" | "::1"): Promise<number> {
  await using server = await HostTcpServer.start(host, () => {});
  return server.port;
}
