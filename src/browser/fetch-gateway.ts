/**
 * An HTTP server in the page that gets its answers by `fetch`: what the guest's connections to port 80 end at.
 *
 * A connection's requests are answered one after the other, as they came (keep-alive and pipelining). Answers stream. Bodies of requests are
 * gathered first, in a Blob that the browser may keep on disk, since browsers stream them over HTTP/2 only; where that is known to work they
 * are streamed. What the page may not do, or cannot, becomes an answer that says so in words.
 *
 * Not passed on is what belongs to the connection or to the page itself: who it is (User-Agent), cookies, caching. Browsers follow
 * redirects by themselves and do not show them: the guest sees where they led.
 */
import { explainFailure } from "./fetch-failure.js";
import { fetchedUrl, targetUrl, type FetchPeer, type TargetOptions } from "./fetch-target.js";
import { headerOf, HttpProblem, HttpReader, type RequestHead } from "./http-reader.js";
import { writeContinue, writeResponse, writeText, type AnswerStyle } from "./http-writer.js";
import type { PagePeer } from "./page-stream.js";

/** A request that was answered: for a log that people read. */
export interface HttpRequestReport {
  /** As the guest sent it. */
  readonly method: string;
  /** The guest's, not the proxy's. Empty where the request could not be read. */
  readonly url: string;
  /** As the guest was told. */
  readonly status: number;
  /** From the request's first byte to the answer's head. */
  readonly durationMs: number;
  /** Why there was no answer from the server, in words. */
  readonly error: string | undefined;
}

/** How it is made. */
export interface FetchGatewayOptions extends TargetOptions {
  readonly fetch: typeof fetch;
  readonly maxRequestBytes: number;
  readonly streamRequests: boolean;
  readonly onRequest: ((report: HttpRequestReport) => void) | undefined;
}

/** Pieces of a body become a Blob together: each Blob has its price. */
const BLOB_BYTES = 1024 * 1024;

/** Request headers that are the connection's, or for the browser to say. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  "accept-encoding",
  "cache-control",
  "connection",
  "content-length",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "pragma",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "upgrade-insecure-requests",
  "user-agent",
]);

/** See the top of the file. */
export class FetchGateway {
  readonly #options: FetchGatewayOptions;

  constructor(options: FetchGatewayOptions) {
    this.#options = options;
  }

  /** Serves a connection to its end. */
  async serve(peer: PagePeer, target: FetchPeer): Promise<void> {
    const reader = new HttpReader(peer);
    for (let goesOn = true; goesOn;) {
      const startMs = performance.now();
      let head: RequestHead | undefined;
      try {
        head = await reader.readHead();
        if (!head) return;
        goesOn = await this.#answer({ peer, reader, head, target, startMs });
      } catch (error) {
        if (!(error instanceof HttpProblem)) throw error;
        await this.#refuse(peer, head, error, startMs);
        return;
      }
    }
  }

  /** Answers a request; fulfilled with whether the connection goes on. */
  async #answer(exchange: Exchange): Promise<boolean> {
    const { peer, reader, head, target, startMs } = exchange;
    const style = styleOf(head);
    const url = targetUrl(head, target);
    this.#checkBody(head);
    await expectContinue(peer, head);
    const body = await this.#readBody(reader, head);
    let response: Response;
    try {
      response = await this.#fetch(url, head, body?.init, peer.signal);
    } catch (error) {
      if (peer.signal.aborted) throw error;
      const { reason, text } = explainFailure(error, url, this.#options);
      this.#report(head, url, { status: 502, startMs, error: text });
      const message = `502 ${reason}\n\n${head.method} ${url.href}\n\n${text}\n`;
      const keepAlive = style.keepAlive && isRead(body);
      await writeText(peer, { status: 502, reason, text: message }, { ...style, keepAlive });
      return keepAlive;
    }
    this.#report(head, url, { status: response.status, startMs });
    return writeResponse(peer, response, { ...style, keepAlive: style.keepAlive && isRead(body) });
  }

  async #refuse(
    peer: PagePeer,
    head: RequestHead | undefined,
    { status, message }: HttpProblem,
    startMs: number,
  ): Promise<void> {
    this.#report(head, undefined, { status, startMs, error: message });
    const style = { isHead: head?.method === "HEAD", isHttp10: false, keepAlive: false };
    await writeText(peer, { status, reason: message, text: `${status} ${message}\n` }, style);
  }

  #fetch(
    url: URL,
    head: RequestHead,
    body: Blob | ReadableStream<Uint8Array<ArrayBuffer>> | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const { fetch: fetchIt } = this.#options;
    return fetchIt(fetchedUrl(url, this.#options), {
      method: head.method,
      headers: headersOf(head),
      ...(body && { body }),
      ...(body instanceof ReadableStream && { duplex: "half" }),
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      redirect: "follow",
      signal,
    });
  }

  /** Whether its body, as far as the head tells, can be sent. */
  #checkBody({ method, body }: RequestHead): void {
    if (body !== 0 && (method === "GET" || method === "HEAD")) {
      throw new HttpProblem(501, `a page cannot send a body with ${method}`);
    }
    if (body !== "chunked" && !this.#options.streamRequests) this.#checkLength(body);
  }

  #checkLength(bytes: number): void {
    const { maxRequestBytes } = this.#options;
    if (bytes <= maxRequestBytes) return;
    throw new HttpProblem(413, `bodies of requests may have ${maxRequestBytes} bytes here`);
  }

  /** The body as `fetch` takes it. */
  async #readBody(reader: HttpReader, head: RequestHead): Promise<RequestBody | undefined> {
    if (head.body === 0) return undefined;
    const pieces = reader.readBody(head);
    if (this.#options.streamRequests) return streamOf(pieces);
    const blobs: Blob[] = [];
    let gathered: Uint8Array<ArrayBuffer>[] = [];
    let gatheredBytes = 0;
    let bytes = 0;
    for await (const piece of pieces) {
      bytes += piece.length;
      this.#checkLength(bytes);
      gathered.push(piece);
      gatheredBytes += piece.length;
      if (gatheredBytes < BLOB_BYTES) continue;
      blobs.push(new Blob(gathered));
      gathered = [];
      gatheredBytes = 0;
    }
    return { init: new Blob([...blobs, ...gathered]), isRead: true };
  }

  #report(
    head: RequestHead | undefined,
    url: URL | undefined,
    { status, startMs, error }: { status: number; startMs: number; error?: string },
  ): void {
    const { onRequest } = this.#options;
    if (!onRequest) return;
    const durationMs = performance.now() - startMs;
    const method = head?.method ?? "";
    // What goes wrong there is not the request's fault.
    queueMicrotask(() => {
      onRequest({ method, url: url?.href ?? "", status, durationMs, error });
    });
  }
}

/** A request's body, as `fetch` takes it. */
interface RequestBody {
  readonly init: Blob | ReadableStream<Uint8Array<ArrayBuffer>>;
  /** It was read to its end. */
  readonly isRead: boolean;
}

interface Exchange {
  readonly peer: PagePeer;
  readonly reader: HttpReader;
  readonly head: RequestHead;
  readonly target: FetchPeer;
  readonly startMs: number;
}

function styleOf(head: RequestHead): AnswerStyle {
  const options = (headerOf(head, "connection") ?? "").toLowerCase().split(/\s*,\s*/);
  const keepAlive = head.isHttp10 ? options.includes("keep-alive") : !options.includes("close");
  return { isHead: head.method === "HEAD", isHttp10: head.isHttp10, keepAlive };
}

async function expectContinue(peer: PagePeer, head: RequestHead): Promise<void> {
  const expected = headerOf(head, "expect");
  if (expected === undefined || head.isHttp10) return;
  if (expected.toLowerCase() !== "100-continue") {
    throw new HttpProblem(417, `expectation "${expected}" cannot be met`);
  }
  if (head.body !== 0) await writeContinue(peer);
}

function headersOf(head: RequestHead): Headers {
  const own = (headerOf(head, "connection") ?? "").toLowerCase().split(/\s*,\s*/);
  const headers = new Headers();
  for (const [name, value] of head.headers) {
    if (NOT_PASSED_ON.has(name) || own.includes(name)) continue;
    try {
      headers.append(name, value);
    } catch {
      throw new HttpProblem(400, `header "${name}" has a value that cannot be`);
    }
  }
  return headers;
}

function streamOf(pieces: AsyncGenerator<Uint8Array<ArrayBuffer>, void>): RequestBody {
  const body = {
    isRead: false,
    init: new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        const { done, value } = await pieces.next();
        body.isRead = done === true;
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await pieces.return();
      },
    }),
  };
  return body;
}

/** Where some of a body was not wanted, nobody knows where the next request begins. */
function isRead(body: RequestBody | undefined): boolean {
  return body?.isRead ?? true;
}
