/**
 * Requests of HTTP/1.1 (RFC 9112) out of a byte stream: the head, parsed strictly, and the body, piece by piece. What is not clear is
 * refused: a request that two readers understand differently is how others are smuggled in.
 */
import type { PagePeer } from "./page-stream.js";

/** Request line and headers together, bytes. */
const MAX_HEAD_BYTES = 64 * 1024;
/** A chunk's size with its extensions, bytes. */
const MAX_CHUNK_LINE_BYTES = 1024;
/** Empty lines that may stand before a request (2.2). */
const MAX_EMPTY_LINES = 8;
const LINE_FEED = 10;
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;

/** A request that is answered with an error; the connection ends then, for nobody knows where the next request begins. */
export class HttpProblem extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** A request without its body. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly isHttp10: boolean;
  /** Names in small letters. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Bytes of the body; "chunked" where that is not known; 0 where there is none. */
  readonly body: number | "chunked";
}

/** All values of a header, joined as RFC 9110 5.3 does. */
export function headerOf(head: RequestHead, name: string): string | undefined {
  const values = head.headers.filter(([each]) => each === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(", ");
}

/** See the top of the file. */
export class HttpReader {
  readonly #peer: PagePeer;
  #bytes = new Uint8Array();

  constructor(peer: PagePeer) {
    this.#peer = peer;
  }

  /** The next request; undefined where there is none any more. Rejects with an HttpProblem. */
  async readHead(): Promise<RequestHead | undefined> {
    let line = await this.#line(MAX_HEAD_BYTES);
    for (let empty = 0; line === ""; empty++) {
      if (empty === MAX_EMPTY_LINES) throw new HttpProblem(400, "there is no request line");
      line = await this.#line(MAX_HEAD_BYTES);
    }
    if (line === undefined) return undefined;
    const { method, target, isHttp10 } = parseRequestLine(line);
    const headers = await this.#headers(MAX_HEAD_BYTES - line.length);
    return { method, target, isHttp10, headers, body: bodyLength(headers, isHttp10) };
  }

  /** The body's pieces, as they come. Rejects with an HttpProblem where it breaks off. */
  async *readBody({ body }: RequestHead): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    if (body !== "chunked") {
      yield* this.#exactly(body);
      return;
    }
    for (;;) {
      const [size = ""] = (await this.#lineOrThrow(MAX_CHUNK_LINE_BYTES)).split(";", 1);
      if (!/^[\da-f]{1,13}$/i.test(size.trim())) throw new HttpProblem(400, "a chunk has no size");
      const length = parseInt(size, 16);
      if (length === 0) break;
      yield* this.#exactly(length);
      if ((await this.#lineOrThrow(2)) !== "") throw new HttpProblem(400, "a chunk does not end");
    }
    // Trailers: fetch cannot send them.
    await this.#headers(MAX_HEAD_BYTES);
  }

  async *#exactly(length: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for (let left = length; left > 0;) {
      if (this.#bytes.length === 0 && !(await this.#more())) throw brokenOff();
      const piece = this.#bytes.slice(0, left);
      this.#bytes = this.#bytes.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #headers(maxBytes: number): Promise<[string, string][]> {
    const headers: [string, string][] = [];
    for (let left = maxBytes; ;) {
      const line = await this.#lineOrThrow(left);
      if (line === "") return headers;
      left -= line.length;
      const [, name = "", value = ""] = /^([^:]*):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
      if (!TOKEN.test(name)) throw new HttpProblem(400, `"${line.slice(0, 40)}" is no header`);
      headers.push([name.toLowerCase(), value]);
    }
  }

  async #lineOrThrow(maxBytes: number): Promise<string> {
    const line = await this.#line(maxBytes);
    if (line === undefined) throw brokenOff();
    return line;
  }

  /** A line without its end; undefined where the stream ends before it. Some clients end lines without CR. */
  async #line(maxBytes: number): Promise<string | undefined> {
    let searched = 0;
    for (;;) {
      const end = this.#bytes.indexOf(LINE_FEED, searched);
      if ((end < 0 ? this.#bytes.length : end) > maxBytes) {
        throw new HttpProblem(431, "the head of the request is too long");
      }
      if (end >= 0) {
        const text = latin1(this.#bytes.subarray(0, end));
        this.#bytes = this.#bytes.subarray(end + 1);
        return text.endsWith("\r") ? text.slice(0, -1) : text;
      }
      searched = this.#bytes.length;
      if (!(await this.#more())) return undefined;
    }
  }

  async #more(): Promise<boolean> {
    const piece = await this.#peer.read();
    if (!piece) return false;
    if (this.#bytes.length === 0) {
      this.#bytes = piece;
    } else {
      const joined = new Uint8Array(this.#bytes.length + piece.length);
      joined.set(this.#bytes);
      joined.set(piece, this.#bytes.length);
      this.#bytes = joined;
    }
    return true;
  }
}

function parseRequestLine(line: string): { method: string; target: string; isHttp10: boolean } {
  const [, method = "", target = "", version = ""] =
    /^(\S+) (\S+) HTTP\/(\d\.\d)$/.exec(line) ?? [];
  if (!TOKEN.test(method)) throw new HttpProblem(400, `"${line.slice(0, 40)}" is no request line`);
  if (version !== "1.1" && version !== "1.0") {
    throw new HttpProblem(505, `HTTP/${version} is not spoken here, HTTP/1.1 is`);
  }
  return { method, target, isHttp10: version === "1.0" };
}

/** RFC 9112, 6.3. */
function bodyLength(
  headers: readonly (readonly [string, string])[],
  isHttp10: boolean,
): number | "chunked" {
  const valuesOf = (wanted: string): string[] =>
    headers.filter(([name]) => name === wanted).map(([, value]) => value);
  const encodings = valuesOf("transfer-encoding");
  const lengths = valuesOf("content-length");
  if (encodings.length > 0) {
    if (lengths.length > 0 || isHttp10)
      throw new HttpProblem(400, "the body's length is said twice");
    if (encodings.join().toLowerCase() !== "chunked") {
      throw new HttpProblem(501, `transfer encoding ${encodings.join()} is not known here`);
    }
    return "chunked";
  }
  const [length = "0", ...others] = lengths;
  if (others.length > 0 || !/^\d{1,15}$/.test(length)) {
    throw new HttpProblem(400, `content-length ${lengths.join()} is no length`);
  }
  return Number(length);
}

function brokenOff(): HttpProblem {
  return new HttpProblem(400, "the request breaks off");
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return text;
}
