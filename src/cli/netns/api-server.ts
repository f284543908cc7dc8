/**
 * The API socket of slirp4netns: a unix socket, one JSON request a connection, ended by the client's half-close, one answer.
 *
 * slirp4netns answers what one read gives it; some clients therefore never close their side. So a request that is whole JSON already is
 * answered at once. Requests are worked off one after the other, in the order in which they were complete.
 */
import { chmod, lstat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { ApiRequests } from "./api-requests.js";

/** A request has fewer bytes. */
const MAX_REQUEST_BYTES = 4096;
/** What a path of a socket may have (sun_path of unix(7), with its ending zero). */
const MAX_PATH_BYTES = 108;
/** A client that says nothing for so long is let go, milliseconds. */
const IDLE_MS = 10_000;

/** See the top of the file. */
export class ApiServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #clients = new Set<Socket>();

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** Serves at a path. A socket that nobody listens at any more is replaced, anything else is left and refused. */
  static async listen(path: string, requests: ApiRequests): Promise<ApiServer> {
    const length = Buffer.byteLength(path);
    if (length >= MAX_PATH_BYTES) {
      throw new Error(`the specified API socket path is too long (>= ${String(MAX_PATH_BYTES)})`);
    }
    await removeOldSocket(path);
    const server = createServer({ allowHalfOpen: true });
    const api = new ApiServer(server, path);
    let queue: Promise<void> = Promise.resolve();
    server.on("connection", (socket) => {
      api.#clients.add(socket);
      socket.once("close", () => api.#clients.delete(socket));
      serve(socket, (text) => {
        const answer = queue.then(() => requests.answer(text));
        queue = answer.then(() => undefined);
        return answer;
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        reject(new Error(`api_bindlisten: bind: ${error.message}`, { cause: error }));
      });
      server.listen(path, resolve);
    });
    // Whoever could connect could open ports.
    await chmod(path, 0o700);
    return api;
  }

  /** Clients that are being served are cut off. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
    for (const client of this.#clients) client.destroy();
    await closed;
    await unlink(this.#path).catch(() => undefined);
  }
}

/** What is left of a program that was killed. */
async function removeOldSocket(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat?.isSocket() && !(await isListenedAt(path))) await unlink(path);
}

async function isListenedAt(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    return await new Promise((resolve) => {
      socket.once("connect", () => {
        resolve(true);
      });
      socket.once("error", () => {
        resolve(false);
      });
    });
  } finally {
    socket.destroy();
  }
}

/** Reads one request, answers it, ends. */
function serve(socket: Socket, answer: (text: string) => Promise<object>): void {
  const chunks: Buffer[] = [];
  let length = 0;
  let isAnswered = false;
  const reply = (object: object): void => {
    isAnswered = true;
    socket.end(JSON.stringify(object));
  };
  const take = (): void => {
    isAnswered = true;
    void answer(Buffer.concat(chunks).toString("utf8")).then(reply);
  };
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  // A client that is gone needs no answer.
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    if (isAnswered) return;
    length += chunk.length;
    if (length >= MAX_REQUEST_BYTES) {
      reply({
        error: { desc: `bad request: too large message (>= ${String(MAX_REQUEST_BYTES)} bytes)` },
      });
      return;
    }
    chunks.push(chunk);
    if (isWholeRequest(Buffer.concat(chunks))) take();
  });
  socket.on("end", () => {
    if (!isAnswered) take();
  });
}

function isWholeRequest(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString("utf8"));
    return true;
  } catch {
    return false;
  }
}
