/**
 * DNS over HTTPS (RFC 8484): a message is POSTed, or sent in a GET, and the answer is a message. Resolvers of a list are asked one after the
 * other until one answers, beginning with the one that answered last.
 */
import { ErrorCode, SlirpError } from "../errors.js";

/** How it is asked. */
export interface DohOptions {
  /** URLs of resolvers that allow pages to ask: `https://cloudflare-dns.com/dns-query`. Best first. */
  readonly urls: readonly string[];
  /** GET can be cached on the way; POST is shorter. Default POST. */
  readonly method?: "POST" | "GET" | undefined;
  /** How long each resolver has, milliseconds. Default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Default: the global one. */
  readonly fetch?: typeof fetch | undefined;
}

const MEDIA_TYPE = "application/dns-message";
const DEFAULT_TIMEOUT_MS = 5000;
const HEADER_BYTES = 12;
/** Length field of DNS over TCP: no message is longer. */
const MAX_MESSAGE_BYTES = 65_535;

/** See the top of the file. */
export class DohResolver {
  readonly via = "https";
  readonly #options: DohOptions;
  readonly #urls: readonly URL[];
  #first = 0;

  /** @throws SlirpError `invalidConfiguration` for what is no URL of a resolver. */
  constructor(options: DohOptions) {
    this.#options = options;
    this.#urls = options.urls.map(readUrl);
  }

  /** Asks. Rejects with what each resolver's problem was. */
  async resolve(query: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const problems: string[] = [];
    for (let tries = 0; tries < this.#urls.length; tries++) {
      const index = (this.#first + tries) % this.#urls.length;
      const url = this.#urls[index] as URL;
      try {
        const answer = await this.#ask(url, query, signal);
        this.#first = index;
        return answer;
      } catch (error) {
        if (signal.aborted) throw error;
        problems.push(`${url.host}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw new Error(problems.join("; "));
  }

  async #ask(url: URL, query: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { method = "POST", timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const controller = new AbortController();
    const abort = (): void => {
      controller.abort(signal.reason);
    };
    signal.addEventListener("abort", abort);
    const timer = setTimeout(() => {
      controller.abort(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      // The same question is the same message then, for caches (4.1).
      const message = Uint8Array.from(query);
      message.set([0, 0]);
      const answer = await this.#fetch(url, method, message, controller.signal);
      answer.set(query.subarray(0, 2));
      return answer;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  async #fetch(
    url: URL,
    method: "POST" | "GET",
    message: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const request = new URL(url);
    if (method === "GET") request.searchParams.set("dns", base64Url(message));
    const fetchIt = this.#options.fetch ?? fetch;
    const response = await fetchIt(request, {
      method,
      headers: { Accept: MEDIA_TYPE, ...(method === "POST" && { "Content-Type": MEDIA_TYPE }) },
      ...(method === "POST" && { body: message }),
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal,
    });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const type = response.headers.get("Content-Type") ?? "nothing";
    if (!type.startsWith(MEDIA_TYPE)) throw new Error(`the answer is ${type}, not ${MEDIA_TYPE}`);
    const answer = new Uint8Array(await response.arrayBuffer());
    if (answer.length < HEADER_BYTES || answer.length > MAX_MESSAGE_BYTES) {
      throw new Error(`the answer has ${answer.length} bytes, which is no DNS message`);
    }
    return answer;
  }
}

function readUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Said below.
  }
  // Plain HTTP is for resolvers on loopback.
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  const message = `doh "${text}": it must be a URL such as https://resolver.example/dns-query`;
  throw new SlirpError(ErrorCode.invalidConfiguration, message);
}

/** Without padding (RFC 8484, 4.1). */
function base64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
