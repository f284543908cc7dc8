/**
 * DNS over HTTPS (RFC 8484) before a resolver: HTTP in, UDP out. Can be told to fail. Plain HTTP, for a loopback address needs no
 * certificate.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const MEDIA_TYPE = "application/dns-message";

/** What it does instead of answering. */
export type DohFault = "status" | "type" | "silence" | "rubbish";

/** See the top of the file. */
export class DohServer {
  /** Method and message of each request. */
  readonly requests: { readonly method: string; readonly message: Buffer }[] = [];
  fault: DohFault | undefined;
  readonly #server: Server;
  readonly #resolver: { readonly host: string; readonly port: number };

  /** `resolver`: `127.0.0.1:PORT`. */
  static async start(resolver: string): Promise<DohServer> {
    const [host = "", port = ""] = resolver.split(":");
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new DohServer(server, { host, port: Number(port) });
  }

  private constructor(server: Server, resolver: { host: string; port: number }) {
    this.#server = server;
    this.#resolver = resolver;
    server.on("request", (request, response) => {
      void this.#serve(request, response);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}/dns-query`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", headers } = request;
    if (method === "OPTIONS") {
      // A page's question is of a media type that has to be allowed first.
      response.writeHead(204, {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Content-Type",
      });
      response.end();
      return;
    }
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const inUrl = new URL(request.url ?? "", this.url).searchParams.get("dns");
    const message = inUrl === null ? Buffer.concat(pieces) : Buffer.from(inUrl, "base64url");
    this.requests.push({ method, message });
    const isRight =
      headers.accept === MEDIA_TYPE &&
      (method === "GET" ? inUrl !== null : headers["content-type"] === MEDIA_TYPE);
    if (this.fault === "silence") return;
    if (!isRight || this.fault === "status") {
      response.writeHead(isRight ? 503 : 400).end();
      return;
    }
    const type = this.fault === "type" ? "text/html" : MEDIA_TYPE;
    response.writeHead(200, { "Content-Type": type, "Access-Control-Allow-Origin": "*" });
    response.end(this.fault === "rubbish" ? "rubbish" : await this.#ask(message));
  }

  async #ask(message: Buffer): Promise<Buffer> {
    const socket = createSocket("udp4");
    socket.send(message, this.#resolver.port, this.#resolver.host);
    const [answer] = (await once(socket, "message")) as [Buffer];
    socket.close();
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
