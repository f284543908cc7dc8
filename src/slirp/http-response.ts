/**
 * Reads a response of HTTP/1.1 or 1.0 (RFC 9112), strictly: where its length could be read in two ways, it is refused.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { ByteReader } from "./byte-reader.js";

/** Status line and fields together; what browsers and servers agree on is some tens of KiB. */
const MAX_HEAD_BYTES = 64 * 1024;

const PIECE_BYTES = 64 * 1024;

/** What stands before the body. */
export interface ResponseHead {
  readonly version: "1.0" | "1.1";
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
}

/** How the body ends: after so many bytes, by chunks, or with the connection. */
export type BodyLength = number | "chunked" | "close";

/** The error for an answer that is none. */
export function badResponse(problem: string): SlirpError {
  return new SlirpError(ErrorCode.badHttpResponse, `the server's answer: ${problem}`);
}

/** Reads the lines of a head and what may stand behind chunks: a block of fields with a limit to all of it. */
class LineBlock {
  private left = MAX_HEAD_BYTES;

  constructor(
    private readonly reader: ByteReader,
    private readonly where: string,
  ) {}

  async next(): Promise<string | undefined> {
    const line = await this.reader.readLine(
      this.left,
      () => badResponse(`${this.where} is longer than ${String(MAX_HEAD_BYTES)} bytes`),
      (cut) => badResponse(`the connection ended within ${this.where}, behind ${quote(cut)}`),
    );
    this.left -= (line?.length ?? 0) + 1;
    return line;
  }
}

/** Reads the next head; interim ones (1xx) are heads too. @throws SlirpError `badHttpResponse`. */
export async function readResponseHead(reader: ByteReader): Promise<ResponseHead> {
  const lines = new LineBlock(reader, "its head");
  const first = await lines.next();
  if (first === undefined) throw badResponse("the connection ended without one");
  const [, version, status = "", statusText = ""] =
    /^HTTP\/(1\.[01]) (\d{3})(?: ([\t -~\x80-\xff]*))?$/.exec(first) ?? [];
  if (version === undefined) {
    throw badResponse(`begins with ${quote(first)}, not with a status line of HTTP/1.1 or 1.0`);
  }
  const headers = await readFields(lines, "its head");
  return { version: version as "1.0" | "1.1", status: Number(status), statusText, headers };
}

async function readFields(lines: LineBlock, where: string): Promise<Headers> {
  const fields: [name: string, value: string][] = [];
  for (;;) {
    const line = await lines.next();
    if (line === undefined) throw badResponse(`the connection ended within ${where}`);
    if (line === "") break;
    const last = fields.at(-1);
    if (/^[ \t]/.test(line)) {
      // A continued line (RFC 9112 5.2): a user agent puts a space in its place.
      if (!last) throw badResponse(`${where} begins with a continued line, ${quote(line)}`);
      last[1] += ` ${line.trim()}`;
      continue;
    }
    const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined || /[\0\r]/.test(value)) {
      throw badResponse(`${where} has the line ${quote(line)}, which is no "Name: value"`);
    }
    fields.push([name, value]);
  }
  return new Headers(fields);
}

/** How long the body is, by RFC 9112 6.3. @throws SlirpError `badHttpResponse` where the head contradicts itself. */
export function bodyLengthOf(head: ResponseHead, method: string): BodyLength {
  const { headers, status, version } = head;
  if (method === "HEAD" || status === 204 || status === 205 || status === 304) return 0;
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== null) {
    if (length !== null) throw badResponse("has both Transfer-Encoding and Content-Length");
    if (version === "1.0") throw badResponse("has Transfer-Encoding, which HTTP/1.0 has not");
    if (coding.toLowerCase() !== "chunked") {
      throw badResponse(`has the transfer coding ${quote(coding)}; only "chunked" was offered`);
    }
    return "chunked";
  }
  if (length === null) return "close";
  const values = new Set(length.split(",").map((value) => value.trim()));
  const [value = ""] = values;
  if (values.size !== 1 || !/^\d{1,15}$/.test(value)) {
    throw badResponse(`has the Content-Length ${quote(length)}`);
  }
  return Number(value);
}

/** The body's pieces. @throws SlirpError `badHttpResponse` where it ends too early or its chunks are none. */
export async function* readBody(
  reader: ByteReader,
  length: BodyLength,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  if (length === "close") {
    for (;;) {
      const piece = await reader.readSome(PIECE_BYTES);
      if (!piece) return;
      yield piece;
    }
  }
  if (length === "chunked") yield* readChunks(reader);
  else yield* readExactly(reader, length, "its body");
}

async function* readExactly(
  reader: ByteReader,
  length: number,
  what: string,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (let left = length; left > 0;) {
    const piece = await reader.readSome(Math.min(left, PIECE_BYTES));
    if (!piece) {
      const had = `${String(length - left)} of ${String(length)} bytes`;
      throw badResponse(`the connection ended after ${had} of ${what}`);
    }
    left -= piece.length;
    yield piece;
  }
}

async function* readChunks(reader: ByteReader): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (;;) {
    const line = await new LineBlock(reader, "a chunk's size").next();
    if (line === undefined) throw badResponse("the connection ended before the last chunk");
    const [, digits] = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/.exec(line) ?? [];
    if (digits === undefined) throw badResponse(`${quote(line)} stands where a chunk's size must`);
    const size = Number.parseInt(digits, 16);
    if (size === 0) break;
    yield* readExactly(reader, size, "a chunk");
    const end = await new LineBlock(reader, "a chunk's end").next();
    if (end !== "") throw badResponse(`a chunk of ${String(size)} bytes goes on behind its end`);
  }
  await readFields(new LineBlock(reader, "its trailer"), "its trailer");
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
