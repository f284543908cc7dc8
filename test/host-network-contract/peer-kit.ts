/**
 * The far side: TCP, unix and UDP peers that are real sockets of the kernel, not of the implementation that is tested.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ipEndpoint, type HostEndpoint, type IpEndpoint } from "../../src/address.js";

/** A server on the far side whose connections can be had one after the other. */
export interface PeerServer {
  readonly endpoint: HostEndpoint;
  /** The next connection; it is paused, so that nothing is read before the case says so. */
  connection(): Promise<Socket>;
}

/** Makes peers, and ends them all. */
export class PeerKit {
  readonly #servers: Server[] = [];
  readonly #sockets: (Socket | UdpSocket)[] = [];
  readonly #folders: string[] = [];

  async tcpServer(address = "127.0.0.1"): Promise<PeerServer> {
    const server = this.#newServer();
    server.listen(0, address);
    await once(server, "listening");
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new Error("no TCP server");
    return this.#serverOf(server, ipEndpoint(bound.address, bound.port));
  }

  async unixServer(): Promise<PeerServer> {
    const path = this.unixPath();
    const server = this.#newServer();
    server.listen(path);
    await once(server, "listening");
    return this.#serverOf(server, { family: "unix", path });
  }

  /** A path in a folder of its own at which nothing is yet. */
  unixPath(): string {
    const folder = mkdtempSync(join(tmpdir(), "host-network-"));
    this.#folders.push(folder);
    return join(folder, "socket");
  }

  /** An address at which nobody listens: one that was just free. */
  async closedTcpEndpoint(address = "127.0.0.1"): Promise<IpEndpoint> {
    const server = createServer();
    server.listen(0, address);
    await once(server, "listening");
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new Error("no TCP server");
    server.close();
    await once(server, "close");
    return ipEndpoint(bound.address, bound.port);
  }

  /** Connects to what the network listens at. The socket is paused. */
  async connect(remote: HostEndpoint): Promise<Socket> {
    const socket = this.connecting(remote);
    await once(socket, "connect");
    return socket;
  }

  /** The same, before it is connected. */
  connecting(remote: HostEndpoint): Socket {
    const socket = connect({
      allowHalfOpen: true,
      noDelay: true,
      ...(remote.family === "unix"
        ? { path: remote.path }
        : { host: remote.address, port: remote.port }),
    });
    socket.pause();
    this.#keep(socket);
    return socket;
  }

  async udpSocket(address = "127.0.0.1"): Promise<{ socket: UdpSocket; endpoint: IpEndpoint }> {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    this.#sockets.push(socket);
    socket.bind(0, address);
    await once(socket, "listening");
    return { socket, endpoint: ipEndpoint(address, socket.address().port) };
  }

  /** Ends every peer and removes what they left in the file system. */
  async close(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) {
      if ("destroy" in socket) socket.destroy();
      else socket.close();
    }
    const closed = this.#servers
      .splice(0)
      .map((server) => new Promise((resolve) => server.close(resolve)));
    await Promise.all(closed);
    for (const folder of this.#folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  }

  #newServer(): Server {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    this.#servers.push(server);
    return server;
  }

  #serverOf(server: Server, endpoint: HostEndpoint): PeerServer {
    const arrived: Socket[] = [];
    const waiting: ((socket: Socket) => void)[] = [];
    server.on("connection", (socket) => {
      this.#keep(socket);
      const wanted = waiting.shift();
      if (wanted) wanted(socket);
      else arrived.push(socket);
    });
    const connection = (): Promise<Socket> => {
      const socket = arrived.shift();
      if (socket) return Promise.resolve(socket);
      return new Promise((resolve) => waiting.push(resolve));
    };
    return { endpoint, connection };
  }

  #keep(socket: Socket): void {
    this.#sockets.push(socket);
    // A case that expects an error listens for it besides; none may end the test run.
    socket.on("error", () => undefined);
  }
}

/** Everything that a peer receives until FIN. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on("data", (piece: Buffer) => pieces.push(piece)).resume();
  await new Promise<void>((resolve, reject) => {
    socket.once("end", resolve);
    socket.once("error", reject);
  });
  return Buffer.concat(pieces);
}

/** The next `count` bytes that a peer receives. */
export function readBytes(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const tryRead = (): void => {
      const bytes = socket.read(count) as Buffer | null;
      if (!bytes) return;
      socket.off("readable", tryRead);
      socket.off("error", reject);
      resolve(bytes);
    };
    socket.on("readable", tryRead);
    socket.once("error", reject);
    tryRead();
  });
}

/**
 * The code of the error that ends a peer's socket; "FIN" where it ends in good order.
 *
 * libuv takes a connection that was reset for one that ended in order when both data and the reset are there at once. The system knows
 * better, and says so to who writes.
 */
export function howItEnds(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once("end", () => {
      socket.write("?", (error) => {
        if (!error) resolve("FIN");
      });
    });
    socket.resume();
  });
}
