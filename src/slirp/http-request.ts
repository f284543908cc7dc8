/**
 * What a caller of `slirp.fetch` asks for, and how it is written in HTTP/1.1 (RFC 9112): head, and the body with its length, or in chunks
 * where that is not known.
 */
import { ErrorCode, SlirpError } from "../errors.js";

/** A body, piece by piece, with its length where it is known. It can be read once. */
export interface RequestBody {
  readonly pieces: AsyncIterable<Uint8Array>;
  readonly lengthBytes: number | undefined;
}

/** What is to be asked. */
export interface GuestRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly redirect: "follow" | "error" | "manual";
  readonly signal: AbortSignal | undefined;
  /** Opens the body; undefined for none. */
  readonly openBody: (() => Promise<RequestBody>) | undefined;
  /** The body can be opened again, for a redirect that wants it. */
  readonly isRepeatable: boolean;
}

/** A body of unknown length up to this many bytes is gathered and sent with its length: small servers know no chunks. */
const MAX_GATHERED_BYTES = 1024 * 1024;

/** Methods that fetch puts in capitals. */
const KNOWN_METHODS = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const FORBIDDEN_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);

/** Fields that belong to this file. */
const OWN_FIELDS = ["connection", "content-length", "keep-alive", "te", "trailer", "upgrade"];

function refuse(problem: string): SlirpError {
  return new SlirpError(ErrorCode.invalidConfiguration, `fetch: ${problem}`);
}

/** Reads what fetch takes. @throws SlirpError `invalidConfiguration`, TypeError for headers and bodies that are none. */
export function readRequest(input: string | URL | Request, init: RequestInit = {}): GuestRequest {
  const given = typeof input === "object" && "method" in input ? input : undefined;
  const url = readUrl(given ? given.url : typeof input === "string" ? input : (input as URL).href);
  const method = readMethod(init.method ?? given?.method ?? "GET");
  const headers = new Headers(init.headers ?? given?.headers);
  const source = init.body ?? (init.body === undefined ? given?.body : undefined) ?? undefined;
  if (source !== undefined && (method === "GET" || method === "HEAD")) {
    throw refuse(`a ${method} request has no body`);
  }
  const isStream = source instanceof ReadableStream;
  let open: GuestRequest["openBody"];
  if (isStream) {
    open = () => openStream(source as ReadableStream<unknown>, given !== undefined);
  } else if (source !== undefined) {
    const body = new Response(source as string | ArrayBuffer);
    const type = body.headers.get("content-type");
    if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
    open = source instanceof Blob ? async () => openBlob(source) : openBytes(body);
  }
  return {
    url,
    method,
    headers,
    redirect: init.redirect ?? given?.redirect ?? "follow",
    signal: init.signal ?? given?.signal,
    openBody: open,
    isRepeatable: !isStream,
  };
}

function readUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse(`${JSON.stringify(text)} is no absolute URL; write it as http://guest:8080/path`);
  }
  if (url.protocol !== "http:") {
    throw refuse(`${url.protocol}//… is not spoken here; http: is, and connect() takes any port`);
  }
  if (url.username !== "" || url.password !== "") {
    throw refuse("the URL holds a user name or password; send an Authorization header instead");
  }
  return url;
}

function readMethod(text: string): string {
  const capitals = text.toUpperCase();
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text) || FORBIDDEN_METHODS.has(capitals)) {
    throw refuse(`${JSON.stringify(text)} is no method that can be sent`);
  }
  return KNOWN_METHODS.has(capitals) ? capitals : text;
}

async function openStream(
  stream: ReadableStream<unknown>,
  mayGather: boolean,
): Promise<RequestBody> {
  const pieces = piecesOf(stream);
  return mayGather ? gather(pieces) : { pieces, lengthBytes: undefined };
}

function openBlob(blob: Blob): RequestBody {
  return { pieces: piecesOf(blob.stream()), lengthBytes: blob.size };
}

/** Made into bytes once: a form's boundary, which the type has told already, would else be another each time. */
function openBytes(body: Response): () => Promise<RequestBody> {
  let reading: Promise<ArrayBuffer> | undefined;
  return async () => {
    reading ??= body.arrayBuffer();
    const bytes = new Uint8Array(await reading);
    return { pieces: once([bytes]), lengthBytes: bytes.length };
  };
}

async function* once(pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function* piecesOf(stream: ReadableStream<unknown>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (!(value instanceof Uint8Array)) {
        throw new TypeError("a request's body must be a stream of Uint8Array");
      }
      yield value;
    }
  } finally {
    // Does nothing at the end; where the sending was given up, whoever fills the stream is told.
    await reader.cancel().catch(() => undefined);
  }
}

async function gather(rest: AsyncGenerator<Uint8Array>): Promise<RequestBody> {
  const gathered: Uint8Array[] = [];
  let length = 0;
  while (length <= MAX_GATHERED_BYTES) {
    const next: IteratorResult<Uint8Array, unknown> = await rest.next();
    const { done, value } = next;
    if (done === true) return { pieces: once(gathered), lengthBytes: length };
    gathered.push(value);
    length += value.length;
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* gathered.splice(0);
    yield* rest;
  }
  return { pieces: all(), lengthBytes: undefined };
}

/** The head as bytes. One request a connection: small servers do no better, and nothing has to be guessed about the next. */
export function formatHead(request: GuestRequest, body: RequestBody | undefined): Uint8Array {
  const { url, method, headers } = request;
  const fields = new Headers(headers);
  for (const name of [...OWN_FIELDS, "transfer-encoding"]) fields.delete(name);
  const host = fields.get("host") ?? url.host;
  fields.delete("host");
  if (!fields.has("accept")) fields.set("accept", "*/*");
  // Packing costs an emulated processor more than the bytes do.
  if (!fields.has("accept-encoding")) fields.set("accept-encoding", "identity");
  if (body?.lengthBytes !== undefined) fields.set("content-length", String(body.lengthBytes));
  else if (body) fields.set("transfer-encoding", "chunked");
  else if (method === "POST" || method === "PUT") fields.set("content-length", "0");
  fields.set("connection", "close");
  const lines = [...fields].map(([name, value]) => `${name}: ${value}\r\n`);
  const target = `${url.pathname}${url.search}`;
  return latin1Bytes(`${method} ${target} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}\r\n`);
}

/** Field values are byte strings: Headers refuses anything else. */
function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Writes the body. @throws what its source or the connection fails with. */
export async function writeBody(
  writer: WritableStreamDefaultWriter<ArrayBufferView>,
  { pieces, lengthBytes }: RequestBody,
): Promise<void> {
  let written = 0;
  for await (const piece of pieces) {
    if (piece.length === 0) continue;
    written += piece.length;
    if (lengthBytes !== undefined && written > lengthBytes) break;
    if (lengthBytes === undefined) void writeQuietly(writer, `${piece.length.toString(16)}\r\n`);
    await writer.write(piece);
    if (lengthBytes === undefined) void writeQuietly(writer, "\r\n");
  }
  if (lengthBytes === undefined) await writer.write(latin1Bytes("0\r\n\r\n"));
  else if (written !== lengthBytes) {
    throw new TypeError(`the body has not the ${String(lengthBytes)} bytes that it told`);
  }
}

/** Without waiting: what fails here fails at the piece that follows. */
async function writeQuietly(
  writer: WritableStreamDefaultWriter<ArrayBufferView>,
  text: string,
): Promise<void> {
  await writer.write(latin1Bytes(text)).catch(() => undefined);
}
