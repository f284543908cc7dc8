/**
 * DNS over HTTPS (RFC 8484) at `/dns-query`: a page's questions, by GET and POST, to the relay's own resolvers.
 *
 * Pages on other origins may ask where the relay's origins allow them: the answers say so (CORS). Names are held to the relay's policy.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  askResolvers,
  parseResolver,
  systemResolvers,
  type ResolverAddress,
} from "./dns-forward.js";
import { freshnessOf, readQuestion, refuseQuery } from "./dns-question.js";
import type { RelayContext } from "./relay-context.js";
import { TokenBucket } from "./token-bucket.js";

/** Where it is, behind the token. */
export const DNS_QUERY_PATH = "/dns-query";

const DNS_MESSAGE = "application/dns-message";
/** Longer than any question, padding (RFC 8467) included. */
const MAX_QUERY_BYTES = 4096;
/** Questions that resolvers have not answered yet. */
const MAX_IN_FLIGHT = 512;
/** Clients whose rate is remembered; who has not asked for longest is forgotten. */
const MAX_CLIENTS = 4096;
const PREFLIGHT_SECONDS = 86_400;

/** What is answered instead of an answer. */
interface Refusal {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const refusals = {
  badQuery: { status: 400, text: "That is no DNS query: one question in wire format (RFC 8484)" },
  badMethod: { status: 405, text: "GET or POST", headers: { Allow: "GET, POST, OPTIONS" } },
  tooLong: {
    status: 413,
    text: `A query has at most ${String(MAX_QUERY_BYTES)} bytes`,
    headers: { Connection: "close" },
  },
  badType: { status: 415, text: `A POST's Content-Type must be ${DNS_MESSAGE}` },
  tooMany: { status: 429, text: "Too many questions", headers: { "Retry-After": "1" } },
  busy: { status: 503, text: "The resolvers are behind", headers: { "Retry-After": "1" } },
  noAnswer: { status: 504, text: "No resolver has answered" },
} as const satisfies Record<string, Refusal>;

/** See the top of the file. */
export class DnsOverHttps {
  readonly #context: RelayContext;
  readonly #resolvers: () => readonly ResolverAddress[];
  readonly #rate: TokenBucket;
  readonly #rates = new Map<string, TokenBucket>();
  #inFlight = 0;

  /** `resolvers`: addresses; the system's by default. @throws SlirpError `invalidConfiguration`. */
  constructor(context: RelayContext, resolvers: readonly string[] | undefined) {
    this.#context = context;
    const fixed = resolvers?.map(parseResolver);
    this.#resolvers = fixed ? () => fixed : systemResolvers();
    this.#rate = new TokenBucket(context.limits.dnsPerSecond);
  }

  /** Answers a request whose origin and token are known to be good. */
  async answer(request: IncomingMessage, response: ServerResponse, client: string): Promise<void> {
    allowOrigin(request, response);
    if (request.method === "OPTIONS") {
      response.writeHead(204, {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Content-Type, Accept",
        "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
      });
      response.end();
      return;
    }
    const result = await this.#resolve(request, client);
    const status = "status" in result ? result.status : 200;
    this.#context.metrics.dnsAnswers.inc({ status: String(status) });
    if ("status" in result) {
      response.writeHead(result.status, { "Cache-Control": "no-store", ...result.headers });
      response.end(`${result.text}\n`);
      return;
    }
    const seconds = freshnessOf(result.answer);
    response.writeHead(200, {
      "Content-Type": DNS_MESSAGE,
      "Content-Length": result.answer.length,
      "Cache-Control": seconds === undefined ? "no-store" : `max-age=${String(seconds)}`,
    });
    response.end(result.answer);
  }

  async #resolve(
    request: IncomingMessage,
    client: string,
  ): Promise<Refusal | { readonly answer: Uint8Array }> {
    if (!this.#rateOf(client).tryTake() || !this.#rate.tryTake()) return refusals.tooMany;
    const { policy, limits, log } = this.#context;
    const query = await readQuery(request, limits.dnsTimeoutMs);
    if ("status" in query) return query;
    const question = readQuestion(query);
    if (!question) return refusals.badQuery;
    const verdict = policy.judgeName(question.name);
    if (!verdict.allowed) {
      this.#context.metrics.refusals.inc({ rule: "blocked" });
      log.info({ client, rule: verdict.rule, target: question.name }, "refused a name");
      return { answer: refuseQuery(query, question) };
    }
    if (this.#inFlight >= MAX_IN_FLIGHT) return refusals.busy;
    this.#inFlight++;
    try {
      const resolvers = this.#resolvers();
      const answer = await askResolvers(query, question, resolvers, limits.dnsTimeoutMs);
      if (answer) return { answer };
      log.warn({ resolvers: resolvers.map(({ address }) => address) }, "no resolver has answered");
      return refusals.noAnswer;
    } finally {
      this.#inFlight--;
    }
  }

  #rateOf(client: string): TokenBucket {
    const rate =
      this.#rates.get(client) ?? new TokenBucket(this.#context.limits.dnsPerSecondPerClient);
    // Who has asked last comes last.
    this.#rates.delete(client);
    this.#rates.set(client, rate);
    const [oldest] = this.#rates.keys();
    if (this.#rates.size > MAX_CLIENTS && oldest !== undefined) this.#rates.delete(oldest);
    return rate;
  }
}

/** Lets the page see the answer (Fetch, "CORS protocol"). The origin has been judged. */
function allowOrigin({ headers: { origin } }: IncomingMessage, response: ServerResponse): void {
  response.setHeader("Vary", "Origin");
  if (origin !== undefined) response.setHeader("Access-Control-Allow-Origin", origin);
}

async function readQuery(
  request: IncomingMessage,
  timeoutMs: number,
): Promise<Uint8Array | Refusal> {
  if (request.method === "GET") {
    const [, query = ""] = (request.url ?? "").split("?", 2);
    const text = new URLSearchParams(query).get("dns") ?? "";
    if (text.length > MAX_QUERY_BYTES * 2) return refusals.tooLong;
    if (!/^[\w-]+={0,2}$/.test(text)) return refusals.badQuery;
    const bytes = Buffer.from(text, "base64url");
    return bytes.length > MAX_QUERY_BYTES ? refusals.tooLong : bytes;
  }
  if (request.method !== "POST") return refusals.badMethod;
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== DNS_MESSAGE) return refusals.badType;
  return readBody(request, timeoutMs);
}

async function readBody(
  request: IncomingMessage,
  timeoutMs: number,
): Promise<Uint8Array | Refusal> {
  const chunks: Buffer[] = [];
  let length = 0;
  const timer = setTimeout(() => {
    request.destroy();
  }, timeoutMs);
  try {
    // The request must outlive this, for its answer.
    const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > MAX_QUERY_BYTES) return refusals.tooLong;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    // The client is gone, or was too slow: nobody reads what is answered.
    return refusals.badQuery;
  } finally {
    clearTimeout(timer);
  }
}
