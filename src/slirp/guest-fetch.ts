/**
 * `fetch` to a web server in the guest: HTTP/1.1 over `connect`, with the Fetch standard's types and manners.
 *
 * There is no library for this: those that speak HTTP/1.1 want Node's sockets or buffers. What is here is strict, and small; it is loaded when
 * first used.
 */
import { parseIpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { GuestConnectOptions, GuestSocket } from "../slirp-backend.js";
import { ByteReader } from "./byte-reader.js";
import { formatHead, readRequest, writeBody, type GuestRequest } from "./http-request.js";
import {
  badResponse,
  bodyLengthOf,
  readBody,
  readResponseHead,
  type BodyLength,
  type ResponseHead,
} from "./http-response.js";

type Connect = (options: GuestConnectOptions) => Promise<GuestSocket>;

/** As many as the Fetch standard follows. */
const MAX_REDIRECTS = 20;

/** How long a body waits for "100 Continue" (RFC 9110 10.1.1: not for ever, for many servers never say it). */
const CONTINUE_WAIT_MS = 1000;

/** A request that was answered, its body not read yet. */
interface Exchange {
  readonly head: ResponseHead;
  readonly reader: ByteReader;
  readonly length: BodyLength;
  /** Ends the connection: in good order, or with an error. */
  readonly end: () => void;
  readonly abort: (reason: unknown) => void;
}

/** See `Slirp.fetch`. */
export async function fetchFromGuest(
  connect: Connect,
  input: string | URL | Request,
  init?: RequestInit,
): Promise<Response> {
  let request = readRequest(input, init);
  for (let redirects = 0; ; redirects++) {
    const exchange = await ask(connect, request);
    const next = followed(request, exchange.head);
    if (!next) return makeResponse(request, exchange, redirects > 0);
    exchange.end();
    if (next instanceof Error) throw next;
    if (redirects === MAX_REDIRECTS) {
      throw badResponse(
        `redirects more than ${String(MAX_REDIRECTS)} times, last to ${next.url.href}`,
      );
    }
    request = next;
  }
}

/** The guest's address in a URL: undefined for the default one. @throws SlirpError `invalidConfiguration` for another host. */
function readHost({ hostname }: URL): string | undefined {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (["guest", "localhost", "::1"].includes(host) || host.startsWith("127.")) return undefined;
  if (parseIpAddress(host)) return host;
  throw new SlirpError(
    ErrorCode.invalidConfiguration,
    `fetch: "${hostname}" is not in the guest; write "guest", "localhost" or the guest's address`,
  );
}

async function ask(connect: Connect, request: GuestRequest): Promise<Exchange> {
  const { url, signal, method } = request;
  const address = readHost(url);
  const socket = await connect({
    port: url.port === "" ? 80 : Number(url.port),
    ...(address !== undefined && { address }),
    ...(signal && { signal }),
  });
  const reader = new ByteReader(socket.readable.getReader());
  const writer = socket.writable.getWriter();
  const abort = (reason: unknown): void => {
    void writer.abort(reason).catch(() => undefined);
  };
  let goAhead: (proceed: boolean) => void = () => undefined;
  const continued = new Promise<boolean>((resolve) => (goAhead = resolve));
  let isSent = false;
  const sending = sendRequest(writer, request, continued).then(
    () => (isSent = true),
    abort, // the connection's error is the sender's then
  );
  try {
    const head = await readFinalHead(reader, () => goAhead(true));
    goAhead(false);
    const length = bodyLengthOf(head, method);
    const end = (): void => {
      // What is still being sent, nobody wants any more.
      if (!isSent) abort(new SlirpError(ErrorCode.closed, "the server answered before the end"));
      writer.releaseLock();
      void socket.close().catch(() => undefined);
    };
    return { head, reader, length, end, abort };
  } catch (error) {
    goAhead(false);
    abort(error);
    await sending;
    throw error;
  }
}

async function sendRequest(
  writer: WritableStreamDefaultWriter<ArrayBufferView>,
  request: GuestRequest,
  continued: Promise<boolean>,
): Promise<void> {
  const body = await request.openBody?.();
  await writer.write(formatHead(request, body));
  if (!body) return;
  if (request.headers.get("expect")?.toLowerCase() === "100-continue") {
    if (!(await waitForContinue(continued))) return;
  }
  await writeBody(writer, body);
}

/** False where the final answer came first. */
function waitForContinue(continued: Promise<boolean>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(true);
    }, CONTINUE_WAIT_MS);
    void continued.then((proceed) => {
      clearTimeout(timer);
      resolve(proceed);
    });
  });
}

async function readFinalHead(reader: ByteReader, onContinue: () => void): Promise<ResponseHead> {
  for (;;) {
    const head = await readResponseHead(reader);
    if (head.status === 101) throw badResponse("switches protocols, which was not asked for");
    if (head.status >= 200 && head.status <= 599) return head;
    if (head.status >= 600 || head.status < 100) {
      throw badResponse(`has the status ${String(head.status)}; there are 100 to 599`);
    }
    if (head.status === 100) onContinue();
  }
}

/** What to ask next; undefined where the answer is the answer, an error where it may not be followed. */
function followed(request: GuestRequest, head: ResponseHead): GuestRequest | Error | undefined {
  const { status } = head;
  const location = head.headers.get("location");
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return undefined;
  if (request.redirect === "manual") return undefined;
  if (request.redirect === "error") return badResponse(`redirects to ${location}`);
  let url: URL;
  try {
    url = new URL(location, request.url);
    if (url.protocol !== "http:") throw new Error("not http");
    readHost(url);
  } catch {
    return badResponse(
      `redirects to ${location}, out of the guest; ask with redirect: "manual" to see it`,
    );
  }
  if (url.hash === "") url.hash = request.url.hash;
  const headers = new Headers(request.headers);
  if (url.origin !== request.url.origin) headers.delete("authorization");
  const { method } = request;
  const becomesGet =
    status === 303
      ? method !== "GET" && method !== "HEAD"
      : (status === 301 || status === 302) && method === "POST";
  if (becomesGet) {
    for (const name of ["encoding", "language", "location", "type"]) {
      headers.delete(`content-${name}`);
    }
    return { ...request, url, headers, method: "GET", openBody: undefined };
  }
  if (request.openBody && !request.isRepeatable) {
    return badResponse(`redirects to ${location} with the body, which was a stream and is gone`);
  }
  return { ...request, url, headers };
}

function makeResponse(request: GuestRequest, exchange: Exchange, redirected: boolean): Response {
  const { head } = exchange;
  const { status, statusText, headers } = head;
  let response: Response;
  try {
    response = new Response(bodyOf(request, exchange), { status, statusText, headers });
  } catch (cause) {
    exchange.end();
    throw badResponse(`cannot be a Response: ${String(cause)}`);
  }
  // A Response that is made, not fetched, has neither.
  Object.defineProperty(response, "url", { value: request.url.href });
  Object.defineProperty(response, "redirected", { value: redirected });
  return response;
}

function bodyOf(
  { method }: GuestRequest,
  { head, reader, length, end, abort }: Exchange,
): ReadableStream | string | null {
  if (length === 0) {
    end();
    return method === "HEAD" || [204, 205, 304].includes(head.status) ? null : "";
  }
  const pieces = readBody(reader, length);
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done !== true) {
            controller.enqueue(value);
            return;
          }
        } catch (error) {
          abort(error);
          throw error;
        }
        end();
        controller.close();
      },
      cancel: abort,
    },
    { highWaterMark: 0 },
  );
  return decoded(body, head);
}

/** As fetch does, though it was not asked for: some files lie packed on the server. */
function decoded(body: ReadableStream, { headers }: ResponseHead): ReadableStream {
  const coding = headers.get("content-encoding")?.toLowerCase();
  if (coding === "gzip" || coding === "x-gzip") {
    return body.pipeThrough(new DecompressionStream("gzip"));
  }
  return coding === "deflate" ? body.pipeThrough(new DecompressionStream("deflate")) : body;
}
