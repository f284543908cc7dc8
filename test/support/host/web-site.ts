/** A web server on loopback with a path for each thing that an answer, or a request, can be. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** See the top of the file. */
export class WebSite {
  readonly big = randomBytes(8 * 1024 * 1024);
  /** Method and path of every request. */
  readonly requests: string[] = [];
  /** Answers to `/endless` that were broken off. */
  brokenOff = 0;
  readonly #server: Server;

  static async start(): Promise<WebSite> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new WebSite(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => {
      this.requests.push(`${request.method ?? ""} ${request.url ?? ""}`);
      void this.#serve(request, response);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Without a slash at its end. */
  get origin(): string {
    return `http://127.0.0.1:${String(this.port)}`;
  }

  get bigHash(): string {
    return createHash("sha256").update(this.big).digest("hex");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const pages: Readonly<Record<string, () => void>> = {
      "/text": () => response.setHeader("Content-Length", 5).end("hello"),
      "/chunked": () => {
        response.write("one ");
        setTimeout(() => response.end("two"), 20);
      },
      "/gzip": () => response.setHeader("Content-Encoding", "gzip").end(gzipSync("unpacked")),
      "/empty": () => response.writeHead(204).end(),
      "/same": () => response.writeHead(304, { ETag: '"1"' }).end(),
      "/moved": () => response.writeHead(302, { Location: "/text" }).end(),
      "/headers": () => response.end(JSON.stringify(request.headers)),
      "/slow": () => setTimeout(() => response.end("slow"), 150),
      "/big": () => response.setHeader("Content-Length", this.big.length).end(this.big),
      "/cut": () => {
        response.setHeader("Content-Length", 1000).write("the beginning");
        setTimeout(() => response.destroy(), 50);
      },
      "/endless": () => {
        response.once("close", () => this.brokenOff++);
        this.#writeOn(response);
      },
      "/echo": () => void this.#echo(request, response),
    };
    const page = pages[path];
    if (page) page();
    else response.writeHead(404).end("no such page");
  }

  #writeOn(response: ServerResponse): void {
    if (response.destroyed) return;
    if (response.write(Buffer.alloc(65_536))) setImmediate(() => this.#writeOn(response));
    else response.once("drain", () => this.#writeOn(response));
  }

  async #echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const piece of request) {
      hash.update(piece as Buffer);
      bytes += (piece as Buffer).length;
    }
    const { method, headers } = request;
    response.end(
      JSON.stringify({ method, bytes, hash: hash.digest("hex"), type: headers["content-type"] }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
