/**
 * DNS over HTTPS: what a page may ask, and what it is told.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { request } from "node:http";
import { decode, encode, RECURSION_DESIRED } from "dns-packet";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ErrorCode } from "../../src/errors.js";
import { parseResolver, systemResolvers } from "../../src/relay/dns-forward.js";
import { freshnessOf, isAnswerTo, readQuestion } from "../../src/relay/dns-question.js";
import type { ListeningRelay, ListenRelayOptions } from "../../src/relay.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { RecordingLog } from "../support/recording-log.js";
import { RelayKit } from "./relay-kit.js";

const kit = new RelayKit();
let resolver: DnsResolver;
let log: RecordingLog;

beforeEach(async () => {
  log = new RecordingLog();
  resolver = await DnsResolver.start("127.0.0.1", {
    "example.test": { a: "192.0.2.7", aaaa: "2001:db8::7" },
    "large.test": { a: "192.0.2.8", onlyOverTcp: true },
  });
});

afterEach(async () => {
  await resolver[Symbol.asyncDispose]();
});

function start(options: ListenRelayOptions = {}): Promise<ListeningRelay> {
  return kit.start({ dnsOverHttps: [resolver.server], log, ...options });
}

function query(name: string, type: "A" | "AAAA" = "A", id = 0): Buffer {
  return encode({ type: "query", id, flags: RECURSION_DESIRED, questions: [{ name, type }] });
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
}

/** Not `fetch`, which would not let a test send what a page cannot. */
async function ask(url: string, { method, path, headers, body }: Asked): Promise<Answer> {
  const { port } = new URL(url);
  const asked = request({
    host: "127.0.0.1",
    port,
    path: path ?? "/dns-query",
    method: method ?? "GET",
    headers: { ...headers },
    agent: false,
  });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [
    AsyncIterable<Buffer> & { statusCode: number; headers: Answer["headers"] },
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

const get = (url: string, message: Uint8Array, more: Asked = {}): Promise<Answer> =>
  ask(url, {
    ...more,
    path: `${more.path ?? "/dns-query"}?dns=${Buffer.from(message).toString("base64url")}`,
  });

const post = (url: string, message: Uint8Array, more: Asked = {}): Promise<Answer> =>
  ask(url, {
    method: "POST",
    body: message,
    ...more,
    headers: { "Content-Type": "application/dns-message", ...more.headers },
  });

const addresses = ({ body }: Answer): unknown[] =>
  (decode(body).answers ?? []).map((record) => ("data" in record ? record.data : undefined));

/** Its types do not have it. */
const codeOf = ({ body }: Answer): unknown => (decode(body) as { rcode?: unknown }).rcode;

describe("DNS over HTTPS", () => {
  it("answers by GET and by POST, under the id that was asked", async () => {
    const { url } = await start();
    const answer = await get(url, query("example.test", "A", 0));
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "content-type": "application/dns-message",
      "cache-control": "max-age=60",
    });
    expect(addresses(answer)).toEqual(["192.0.2.7"]);
    expect(decode(answer.body).id).toBe(0);
    const posted = await post(url, query("example.test", "AAAA", 4711));
    expect(addresses(posted)).toEqual(["2001:db8::7"]);
    expect(decode(posted.body).id).toBe(4711);
    expect(resolver.asked("example.test", "udp")).toHaveLength(2);
  });

  it("asks by TCP what does not fit into a datagram", async () => {
    const { url } = await start();
    const answer = await get(url, query("large.test"));
    expect(addresses(answer)).toEqual(["192.0.2.8"]);
    expect(resolver.asked("large.test", "udp")).toHaveLength(1);
    expect(resolver.asked("large.test", "tcp")).toHaveLength(1);
  });

  it("passes on that there is no such name, and does not have it kept without a word about how long", async () => {
    const { url } = await start();
    const answer = await get(url, query("none.test"));
    expect(answer.status).toBe(200);
    expect(codeOf(answer)).toBe("NXDOMAIN");
    expect(answer.headers["cache-control"]).toBe("no-store");
  });

  it("asks the next resolver where one does not answer, and says so where none does", async () => {
    const silent = createSocket("udp4");
    silent.bind(0, "127.0.0.1");
    await once(silent, "listening");
    const deaf = `127.0.0.1:${String(silent.address().port)}`;
    const gone = `127.0.0.1:${String((await kit.peers.closedTcpEndpoint()).port)}`;
    const one = await start({ dnsOverHttps: [gone, deaf, resolver.server] });
    expect(addresses(await get(one.url, query("example.test")))).toEqual(["192.0.2.7"]);
    const none = await start({ dnsOverHttps: [deaf], limits: { dnsTimeoutMs: 100 } });
    expect((await get(none.url, query("example.test"))).status).toBe(504);
    expect(log.entries.map(({ message }) => message)).toContain("no resolver has answered");
    silent.close();
  });

  it("takes answers from nobody but the resolver that was asked, under the id it was asked by", async () => {
    const liar = createSocket("udp4");
    liar.on("message", (message, { port, address }) => {
      const { id = 0, questions = [] } = decode(message);
      const answers = [{ type: "A" as const, name: "example.test", ttl: 1, data: "203.0.113.1" }];
      liar.send(encode({ type: "response", id: id ^ 1, questions, answers }), port, address);
      const other = [{ name: "other.test", type: "A" as const }];
      liar.send(encode({ type: "response", id, questions: other, answers }), port, address);
      liar.send(message, port, address);
      liar.send(Buffer.from("?"), port, address);
      const good = [{ type: "A" as const, name: "example.test", ttl: 1, data: "192.0.2.9" }];
      liar.send(encode({ type: "response", id, questions, answers: good }), port, address);
    });
    liar.bind(0, "127.0.0.1");
    await once(liar, "listening");
    const { url } = await start({ dnsOverHttps: [`127.0.0.1:${String(liar.address().port)}`] });
    expect(addresses(await get(url, query("example.test")))).toEqual(["192.0.2.9"]);
    liar.close();
  });

  it("refuses names that the policy closes, and the log says by which rule", async () => {
    const { url } = await start({ names: ["*.example.org"] });
    const answer = await get(url, query("example.test"));
    expect(answer.status).toBe(200);
    expect(codeOf(answer)).toBe("REFUSED");
    expect(decode(answer.body).questions).toEqual([
      { name: "example.test", type: "A", class: "IN" },
    ]);
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(log.entries.at(-1)?.details).toMatchObject({ rule: "names", target: "example.test" });
    expect(resolver.questions).toEqual([]);
  });

  it("is not there unless it is asked for", async () => {
    const { url } = await kit.start();
    expect((await get(url, query("example.test"))).status).toBe(426);
  });
});

describe("who may ask", () => {
  it("is told by the origin, and the page may read the answer", async () => {
    const { url } = await start({ origins: ["https://good.test"] });
    const good = { headers: { Origin: "https://good.test" } };
    expect((await get(url, query("example.test"), good)).headers).toMatchObject({
      "access-control-allow-origin": "https://good.test",
      vary: "Origin",
    });
    const preflight = await ask(url, {
      method: "OPTIONS",
      headers: { ...good.headers, "Access-Control-Request-Method": "POST" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      "access-control-allow-origin": "https://good.test",
      "access-control-allow-methods": "GET, POST",
      "access-control-allow-headers": "Content-Type, Accept",
    });
    const evil = { headers: { Origin: "https://evil.test" } };
    const refused = await get(url, query("example.test"), evil);
    expect(refused.status).toBe(403);
    expect(refused.headers["access-control-allow-origin"]).toBeUndefined();
    expect(resolver.questions).toHaveLength(1);
  });

  it("is told by the token in the path", async () => {
    const { url } = await start({ tokens: ["s3cret"] });
    expect((await get(url, query("example.test"))).status).toBe(401);
    expect((await get(url, query("example.test"), { path: "/s3cret/dns-query" })).status).toBe(200);
    expect((await get(url, query("example.test"), { path: "/guess/dns-query" })).status).toBe(401);
  });

  it("may ask so much a second, of one client and of all", async () => {
    for (const limits of [{ dnsPerSecondPerClient: 3 }, { dnsPerSecond: 3 }]) {
      const { url, relay } = await start({ limits });
      const statuses = await Promise.all(
        Array.from({ length: 20 }, async () => (await get(url, query("example.test"))).status),
      );
      expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(3);
      expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(5);
      expect(await relay.metrics.registry.metrics()).toMatch(
        /slirp_relay_dns_answers_total\{status="429"\} \d+/,
      );
    }
  });
});

describe("what is no question", () => {
  it.each<[what: string, status: number, asked: Asked]>([
    ["no dns parameter", 400, {}],
    ["a parameter that is no base64url", 400, { path: "/dns-query?dns=%25%25" }],
    ["half a header", 400, { path: "/dns-query?dns=AAAA" }],
    ["another method", 405, { method: "PUT" }],
    ["a POST of another type", 415, { method: "POST", headers: { "Content-Type": "text/plain" } }],
    ["a GET that is too long", 413, { path: `/dns-query?dns=${"A".repeat(12_000)}` }],
  ])("%s: %i", async (_what, status, asked) => {
    const { url } = await start();
    expect((await ask(url, asked)).status).toBe(status);
    expect((await get(url, query("example.test"))).status, "and it goes on").toBe(200);
  });

  it("a POST that is too long, or an answer, or two questions", async () => {
    const { url } = await start();
    expect((await post(url, new Uint8Array(5000))).status).toBe(413);
    const answer = encode({ type: "response", questions: [{ name: "a.test", type: "A" }] });
    expect((await post(url, answer)).status).toBe(400);
    const questions = ["a.test", "b.test"].map((name) => ({ name, type: "A" as const }));
    expect((await post(url, encode({ type: "query", questions }))).status).toBe(400);
    expect(resolver.questions).toEqual([]);
  });

  it("a POST whose body does not come ends in time", async () => {
    const { url } = await start({ limits: { dnsTimeoutMs: 100 } });
    const { port } = new URL(url);
    const slow = request({
      host: "127.0.0.1",
      port,
      path: "/dns-query",
      method: "POST",
      headers: { "Content-Type": "application/dns-message", "Content-Length": "50" },
    });
    slow.write("x");
    await expect(once(slow, "response")).rejects.toThrow();
  });

  it("whatever the bytes are, nothing is thrown", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const question = readQuestion(bytes);
        if (question) isAnswerTo(bytes, question, 0);
        if (bytes.length >= 12) freshnessOf(bytes);
      }),
    );
  });

  it("a negative answer is kept as long as its SOA says", () => {
    const soa = {
      type: "SOA" as const,
      name: "test",
      ttl: 900,
      data: {
        mname: "ns.test",
        rname: "x.test",
        serial: 1,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 300,
      },
    };
    const answer = encode({ type: "response", flags: 3, authorities: [soa] } as never);
    expect(freshnessOf(answer)).toBe(300);
  });
});

describe("a resolver's address", () => {
  it("may have a port; the system's can be read", () => {
    expect(parseResolver("192.0.2.1")).toEqual({ address: "192.0.2.1", port: 53 });
    expect(parseResolver("192.0.2.1:5353")).toEqual({ address: "192.0.2.1", port: 5353 });
    expect(parseResolver("2001:db8::1")).toEqual({ address: "2001:db8::1", port: 53 });
    expect(parseResolver("[2001:db8::1]:5353")).toEqual({ address: "2001:db8::1", port: 5353 });
    for (const { port } of systemResolvers()()) expect(port).toBeGreaterThan(0);
  });

  it.each(["", "localhost", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "192.0.2", "[::1"])(
    "%j is none",
    (text) => {
      expect(() => parseResolver(text)).toThrow(
        expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
      );
    },
  );
});

describe("beside it", () => {
  it("WebSockets at that path are refused as before", async () => {
    const { url } = await start();
    const socket = new WebSocket(`${url}dns-query`);
    socket.on("error", () => undefined);
    const [, response] = (await once(socket, "unexpected-response")) as [
      unknown,
      { statusCode: number },
    ];
    expect(response.statusCode).toBe(404);
  });
});
