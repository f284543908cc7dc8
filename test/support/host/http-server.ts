/**
 * A web server on the host for guests to fetch from and to send to.
 *
 * `GET /random/BYTES/NAME` gives the body of random-body.ts; whatever is PUT or POSTed is answered by its length and its
 * SHA-256, as `LENGTH HASH`.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { randomBody, randomBodySha256 } from "./random-body.js";

/** See the top of the file. */
export class HostHttpServer {
  /** Method and path of each request, in the order in which they came. */
  readonly requests: string[] = [];
  /** Bytes of bodies that went into sockets so far. */
  sentBytes = 0;
  readonly #server: Server;

  /** Listens on a free port of a loopback address. */
  static async start(host: "127.0.0.1" | "::1" = "127.0.0.1"): Promise<HostHttpServer> {
    const server = new HostHttpServer();
    server.#server.listen(0, host);
    await once(server.#server, "listening");
    return server;
  }

  private constructor() {
    this.#server = createServer((request, response) => {
      this.requests.push(`${String(request.method)} ${String(request.url)}`);
      // A peer that goes away in the middle is the guest's matter, which the test looks at there.
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What is to be fetched, and what must come. */
  randomFile(name: string, bytes: number): { path: string; sha256: string } {
    return {
      path: `/random/${String(bytes)}/${name}`,
      sha256: randomBodySha256(name, bytes),
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "PUT" || request.method === "POST") {
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of request as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      response.end(`${String(bytes)} ${hash.digest("hex")}\n`);
      return;
    }
    const [, size, name] = /^\/random\/(\d+)\/(.+)$/.exec(request.url ?? "") ?? [];
    if (size === undefined || name === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-length": size });
    const body = randomBody(name, Number(size));
    body.on("data", (chunk: Buffer) => {
      this.sentBytes += chunk.length;
    });
    await pipeline(body, response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, "close");
  }
}
