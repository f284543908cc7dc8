/**
 * Answers of HTTP/1.1 into a byte stream: what `fetch` gives, framed anew. `fetch` has undone the content's encoding and the transfer's, so
 * that the headers which speak of them are not true any more; a length is told only where it is known to be that of what comes.
 */
import type { PagePeer } from "./page-stream.js";

/** Of one connection only (RFC 9110, 7.6.1), or undone by `fetch`. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What the request says of how it is to be answered. */
export interface AnswerStyle {
  readonly isHead: boolean;
  readonly isHttp10: boolean;
  /** The connection goes on after the answer. */
  readonly keepAlive: boolean;
}

/** Writes an answer; fulfilled with whether the connection may go on. Rejects where the body breaks off: nothing else tells the guest. */
export async function writeResponse(
  peer: PagePeer,
  response: Response,
  style: AnswerStyle,
): Promise<boolean> {
  const hasBody = !style.isHead && response.status !== 204 && response.status !== 304;
  const length = response.status === 204 ? undefined : trueLength(response);
  const isChunked = hasBody && length === undefined && !style.isHttp10;
  const keepAlive = style.keepAlive && (!hasBody || isChunked || length !== undefined);
  const lines = [`HTTP/1.1 ${response.status} ${response.statusText || (response.ok ? "OK" : "")}`];
  response.headers.forEach((value, name) => {
    if (!NOT_PASSED_ON.has(name)) lines.push(`${name}: ${value}`);
  });
  if (length !== undefined) lines.push(`content-length: ${length}`);
  if (isChunked) lines.push("transfer-encoding: chunked");
  lines.push(...connectionLines(style, keepAlive));
  await peer.write(headBytes(lines));
  if (hasBody) await writeBody(peer, response, { isChunked, length });
  else await response.body?.cancel();
  return keepAlive;
}

/** Writes an answer of our own, in plain words. */
export async function writeText(
  peer: PagePeer,
  { status, reason, text }: { status: number; reason: string; text: string },
  style: AnswerStyle,
): Promise<void> {
  const body = new TextEncoder().encode(text);
  const lines = [
    `HTTP/1.1 ${status} ${reason.replaceAll(/[^ -~]/g, "?")}`,
    "content-type: text/plain; charset=utf-8",
    `content-length: ${body.length}`,
    "cache-control: no-store",
    ...connectionLines(style, style.keepAlive),
  ];
  await peer.write(headBytes(lines));
  if (!style.isHead) await peer.write(body);
}

/** Says that the body may come (RFC 9110, 10.1.1). */
export async function writeContinue(peer: PagePeer): Promise<void> {
  await peer.write(headBytes(["HTTP/1.1 100 Continue"]));
}

/**
 * The length, where it is that of the content as it comes. Of another origin's answer the page does not see whether it was compressed.
 */
function trueLength({ headers, type }: Response): number | undefined {
  const text = headers.get("content-length");
  if (text === null || type === "cors" || headers.has("content-encoding")) return undefined;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function connectionLines({ isHttp10 }: AnswerStyle, keepAlive: boolean): string[] {
  if (!keepAlive) return ["connection: close"];
  return isHttp10 ? ["connection: keep-alive"] : [];
}

async function writeBody(
  peer: PagePeer,
  response: Response,
  { isChunked, length }: { isChunked: boolean; length: number | undefined },
): Promise<void> {
  const reader = response.body?.getReader();
  let written = 0;
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) break;
      if (value.length === 0) continue;
      written += value.length;
      if (length !== undefined && written > length) throw new Error("more came than was announced");
      if (isChunked) await peer.write(encode(`${value.length.toString(16)}\r\n`));
      await peer.write(value);
      if (isChunked) await peer.write(encode("\r\n"));
    }
  } catch (error) {
    await reader?.cancel().catch(() => undefined);
    throw error;
  }
  if (length !== undefined && written < length) throw new Error("the body breaks off");
  if (isChunked) await peer.write(encode("0\r\n\r\n"));
}

/** Header values are bytes to `fetch`, one a character. */
function headBytes(lines: readonly string[]): Uint8Array {
  return Uint8Array.from(`${lines.join("\r\n")}\r\n\r\n`, (character) => character.charCodeAt(0));
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
