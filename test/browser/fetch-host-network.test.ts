/**
 * The host network without a relay: HTTP of the guest becomes `fetch`. The client is Node's, or bytes by hand where it would not do what is
 * asked here; the server is Node's; `fetch` is Node's, its URLs led to loopback. What browsers alone do wrong is made up.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  Agent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import fc from "fast-check";
import { decode, encode } from "dns-packet";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import type { HttpRequestReport } from "../../src/browser/fetch-gateway.js";
import {
  createFetchHostNetwork,
  type FetchHostNetworkOptions,
  type RefusedConnection,
} from "../../src/browser/fetch-host-network.js";
import { ErrorCode } from "../../src/errors.js";
import { Errno, type HostNetwork } from "../../src/host-network.js";
import { DatagramUser, opened, StreamUser } from "../host-network-contract/stack-side.js";
import { WebSite } from "../support/host/web-site.js";
import { openNetworkPort, type NetworkPort } from "../support/network-port.js";
import { waitUntil } from "../support/wait-until.js";

let site: WebSite;
const closing: (() => unknown)[] = [];
const reports: HttpRequestReport[] = [];
const refused: RefusedConnection[] = [];

beforeAll(async () => {
  site = await WebSite.start();
});

afterEach(async () => {
  vi.unstubAllGlobals();
  for (const close of closing.splice(0).reverse()) await close();
  reports.length = 0;
  refused.length = 0;
});

afterAll(() => site[Symbol.asyncDispose]());

/** Any name leads to the site. */
const fetchSite: typeof fetch = (input, init) => {
  const url = new URL(input as URL);
  return fetch(`${site.origin}${url.pathname}${url.search}`, init);
};

function makeNetwork(options: FetchHostNetworkOptions = {}): HostNetwork {
  const network = createFetchHostNetwork({
    fetch: fetchSite,
    onRequest: (report) => reports.push(report),
    onRefused: (each) => refused.push(each),
    ...options,
  });
  closing.push(() => network.close());
  return network;
}

/** Asks the network's name server. */
async function lookUp(
  network: HostNetwork,
  name: string,
  type: "A" | "AAAA" = "A",
): Promise<string[]> {
  const user = new DatagramUser(opened(network.openDatagram(4)));
  user.trySend(
    encode({ type: "query", id: 1, questions: [{ name, type }] }),
    network.dnsServers()[0]!,
  );
  const { answers = [] } = decode(await user.receive());
  user.close();
  return answers.map((answer) => String("data" in answer ? answer.data : ""));
}

/** A port that leads to a name's port 80 through the network. */
async function openPort(network: HostNetwork, name = "site.test"): Promise<NetworkPort> {
  const [address = ""] = await lookUp(network, name);
  const port = await openNetworkPort(network, ipEndpoint(address, 80));
  closing.push(() => port[Symbol.asyncDispose]());
  return port;
}

interface Answer {
  readonly response: IncomingMessage;
  readonly body: Buffer;
  readonly reused: boolean;
}

async function ask(
  { port }: NetworkPort,
  path: string,
  options: RequestOptions & { body?: Buffer } = {},
): Promise<Answer> {
  const { body, ...rest } = options;
  const headers = { Host: "site.test", ...(rest.headers as Record<string, string>) };
  const sent = httpRequest({ host: "127.0.0.1", port, path, ...rest, headers });
  // A connection that breaks off is told by the response, and once more.
  sent.on("error", () => undefined);
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return { response, body: Buffer.concat(pieces), reused: sent.reusedSocket };
}

/** Sends bytes as they are to a server at an address; answers all that comes back until the end. */
async function exchange(
  network: HostNetwork,
  bytes: string | Uint8Array,
  remote: IpEndpoint = SOMEWHERE,
): Promise<string> {
  const stream = new StreamUser(opened(network.connectStream(remote)));
  expect(await stream.connected()).toBe(0);
  await stream.sendBytes(Buffer.from(bytes as string, "latin1"));
  stream.shutdownWrite();
  const all = await stream.receiveBytes();
  stream.close();
  return all.toString("latin1");
}

const SOMEWHERE = ipEndpoint("192.0.2.1", 80);

describe("an answer", () => {
  it("comes with its status, its headers and its length", async () => {
    const { response, body } = await ask(await openPort(makeNetwork()), "/text?x=1");
    expect(response.statusCode).toBe(200);
    expect(response.headers["content-length"]).toBe("5");
    expect(body.toString()).toBe("hello");
    expect(site.requests.at(-1)).toBe("GET /text?x=1");
    expect(reports).toMatchObject([
      { method: "GET", url: "http://site.test/text?x=1", status: 200, error: undefined },
    ]);
  });

  it("without a length comes in chunks", async () => {
    const { response, body } = await ask(await openPort(makeNetwork()), "/chunked");
    expect(response.headers["transfer-encoding"]).toBe("chunked");
    expect(body.toString()).toBe("one two");
  });

  it("that was compressed is not any more, and does not say so", async () => {
    const { response, body } = await ask(await openPort(makeNetwork()), "/gzip");
    expect(response.headers["content-encoding"]).toBeUndefined();
    expect(body.toString()).toBe("unpacked");
  });

  it.each([
    ["/empty", 204],
    ["/same", 304],
    ["/nowhere", 404],
  ])("of %s has its status", async (path, status) => {
    const port = await openPort(makeNetwork());
    expect((await ask(port, path)).response.statusCode).toBe(status);
  });

  it("to HEAD has the length and no body", async () => {
    const { response, body } = await ask(await openPort(makeNetwork()), "/text", {
      method: "HEAD",
    });
    expect(response.headers["content-length"]).toBe("5");
    expect(body).toHaveLength(0);
  });

  it("is where a redirect leads to", async () => {
    const { response, body } = await ask(await openPort(makeNetwork()), "/moved");
    expect(response.statusCode).toBe(200);
    expect(body.toString()).toBe("hello");
  });

  it("of 8 MB arrives whole, though nobody reads for a while", async () => {
    const network = makeNetwork();
    const stream = new StreamUser(opened(network.connectStream(SOMEWHERE)));
    expect(await stream.connected()).toBe(0);
    await stream.sendBytes(
      Buffer.from("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const all = await stream.receiveBytes();
    const body = all.subarray(all.indexOf("\r\n\r\n") + 4);
    expect(createHash("sha256").update(body).digest("hex")).toBe(site.bigHash);
  });

  it("that breaks off is a reset, and not an end", async () => {
    const port = await openPort(makeNetwork());
    await expect(ask(port, "/cut")).rejects.toThrow(/aborted|ECONNRESET|hang up/);
  });

  it("that the guest does not want any more is not fetched on", async () => {
    const network = makeNetwork();
    const stream = new StreamUser(opened(network.connectStream(SOMEWHERE)));
    expect(await stream.connected()).toBe(0);
    await stream.sendBytes(Buffer.from("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
    await stream.receiveBytes(100_000);
    stream.reset();
    await waitUntil("the server has seen it", () => site.brokenOff > 0);
  });
});

describe("a connection", () => {
  it("goes on after an answer", async () => {
    const port = await openPort(makeNetwork());
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    closing.push(() => agent.destroy());
    const answers: Answer[] = [];
    for (const path of ["/text", "/chunked", "/empty", "/gzip", "/nowhere"]) {
      answers.push(await ask(port, path, { agent }));
    }
    expect(answers.map(({ reused }) => reused)).toEqual([false, true, true, true, true]);
  });

  it("answers requests that come together in their order", async () => {
    const paths = ["/slow", "/text", "/chunked"];
    const text = await exchange(
      makeNetwork(),
      paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""),
    );
    const places = ["slow", "hello", "one "].map((body) => text.indexOf(body));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
  });

  it("of HTTP/1.0 ends with the answer, and needs no host", async () => {
    const text = await exchange(makeNetwork(), "GET /chunked HTTP/1.0\n\n");
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).not.toContain("transfer-encoding");
    expect(text).toMatch(/\r\n\r\none two$/);
  });

  it("of HTTP/1.0 goes on where both can tell the end", async () => {
    const request = "GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const text = await exchange(makeNetwork(), request + request);
    expect(text.match(/connection: keep-alive/g)).toHaveLength(2);
  });
});

describe("a request", () => {
  const body = randomBytes(1_000_000);
  const hash = createHash("sha256").update(body).digest("hex");
  const type = "application/x-thing";

  it.each([
    { how: "with a length", headers: {}, streamRequests: false },
    { how: "in chunks", headers: { "Transfer-Encoding": "chunked" }, streamRequests: false },
    { how: "with a length, streamed", headers: {}, streamRequests: true },
    {
      how: "in chunks, streamed",
      headers: { "Transfer-Encoding": "chunked" },
      streamRequests: true,
    },
  ])("brings its body $how", async ({ headers, streamRequests }) => {
    const port = await openPort(makeNetwork({ streamRequests }));
    const options = { method: "PUT", headers: { ...headers, "Content-Type": type }, body };
    const answer = await ask(port, "/echo", options);
    const got: unknown = JSON.parse(answer.body.toString());
    expect(got).toEqual({ method: "PUT", bytes: body.length, hash, type });
  });

  it("that waits for being asked to go on is", async () => {
    const port = await openPort(makeNetwork());
    const sent = httpRequest({
      host: "127.0.0.1",
      port: port.port,
      path: "/echo",
      method: "POST",
      headers: { Host: "site.test", Expect: "100-continue", "Content-Length": 4 },
    });
    sent.flushHeaders();
    await once(sent, "continue");
    sent.end("body");
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    expect(response.statusCode).toBe(200);
    response.resume();
  });

  it("says what the guest said, without what belongs to the connection or the page", async () => {
    const port = await openPort(makeNetwork());
    const headers = {
      Accept: "text/x",
      "X-Own": "1",
      "X-Hop": "2",
      Connection: "X-Hop",
      Cookie: "a=b",
      "User-Agent": "guest",
    };
    const answer = await ask(port, "/headers", { headers });
    const got = JSON.parse(answer.body.toString()) as Record<string, string>;
    expect(got).toMatchObject({ accept: "text/x", "x-own": "1" });
    expect(got).not.toHaveProperty("x-hop");
    expect(got).not.toHaveProperty("cookie");
    expect(got["user-agent"]).not.toBe("guest");
  });

  it("may be longer than the page wants to hold, which is told", async () => {
    const network = makeNetwork({ maxRequestBytes: 10 });
    const head = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    const long = await exchange(network, `${head}Content-Length: 11\r\n\r\nhello world`);
    expect(long).toMatch(/^HTTP\/1\.1 413 bodies of requests may have 10 bytes here/);
    const chunked = await exchange(
      network,
      `${head}Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n6\r\nworld!\r\n0\r\n\r\n`,
    );
    expect(chunked).toMatch(/^HTTP\/1\.1 413/);
  });

  it.each([
    ["rubbish\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: user@evil\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400],
    ["GET / HTTP/2.0\r\n\r\n", 505],
    ["GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501],
    ["OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 501],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\nx", 501],
    ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417],
    [`GET /${"x".repeat(70_000)} HTTP/1.1\r\n\r\n`, 431],
    [`GET / HTTP/1.1\r\nHost: a\r\n${"X: 1234567890\r\n".repeat(6000)}\r\n`, 431],
  ])("that is wrong is refused: %j", async (bytes, status) => {
    const before = site.requests.length;
    const text = await exchange(makeNetwork(), bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
    expect(text).toContain("connection: close");
    expect(site.requests.length).toBe(before);
  });

  it("of any bytes whatever comes to an end", async () => {
    const network = makeNetwork();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const text = await exchange(network, Buffer.concat([Buffer.from("POST "), bytes]));
        expect(text === "" || text.startsWith("HTTP/1.1 ")).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe("the URL that is fetched", () => {
  async function fetched(
    request: string,
    options: FetchHostNetworkOptions = {},
    remote = SOMEWHERE,
  ): Promise<string> {
    let url = "";
    const network = makeNetwork({
      ports: [80, 8080],
      ...options,
      fetch: (input) => {
        url = String(input);
        return Promise.resolve(new Response("x"));
      },
    });
    await exchange(network, request, remote);
    return url;
  }

  const named = "GET /a?b#c HTTP/1.1\r\nHost: www.test\r\n\r\n";

  it.each([
    ["names the host that the guest names", named, SOMEWHERE, "http://www.test/a?b"],
    [
      "has the port of the connection",
      named,
      ipEndpoint("192.0.2.1", 8080),
      "http://www.test:8080/a?b",
    ],
    [
      "has the address of the connection where the guest names one",
      "GET / HTTP/1.1\r\nHost: 10.0.2.2\r\n\r\n",
      ipEndpoint("127.0.0.1", 80),
      "http://127.0.0.1/",
    ],
    [
      "has IPv6 addresses, too",
      "GET / HTTP/1.0\r\n\r\n",
      ipEndpoint("2001:db8::1", 80),
      "http://[2001:db8::1]/",
    ],
    [
      "is the request's where it is whole, as proxies have it",
      "GET http://other.test/x HTTP/1.1\r\nHost: www.test\r\n\r\n",
      SOMEWHERE,
      "http://other.test/x",
    ],
    [
      "is not led elsewhere by its path",
      "GET //evil.test/ HTTP/1.1\r\nHost: www.test\r\n\r\n",
      SOMEWHERE,
      "http://www.test//evil.test/",
    ],
  ])("%s", async (_what, request, remote, url) => {
    expect(await fetched(request, {}, remote)).toBe(url);
  });

  it("is https where that is asked for, but on loopback", async () => {
    const options = { upgradeToHttps: true };
    expect(await fetched(named, options)).toBe("https://www.test/a?b");
    const local = "GET / HTTP/1.0\r\n\r\n";
    expect(await fetched(local, options, ipEndpoint("127.0.0.1", 80))).toBe("http://127.0.0.1/");
  });

  it("is https on a page that was loaded by https", async () => {
    vi.stubGlobal("location", { origin: "https://page.test" });
    expect(await fetched(named)).toBe("https://www.test/a?b");
    expect(await fetched(named, { upgradeToHttps: false })).toBe("http://www.test/a?b");
  });

  it.each([
    ["https://proxy.test/", "https://proxy.test/http://www.test/a?b"],
    ["https://proxy.test/?to={url}", "https://proxy.test/?to=http%3A%2F%2Fwww.test%2Fa%3Fb"],
  ])("goes by way of a proxy: %s", async (proxy, url) => {
    expect(await fetched(named, { proxy })).toBe(url);
  });

  it("cannot be made by a proxy that is none", () => {
    expect(() => createFetchHostNetwork({ proxy: "proxy.test" })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });

  it("is of the name that the address was given out for, where the request has none", async () => {
    const urls: string[] = [];
    const network = makeNetwork({
      fetch: (input) => {
        urls.push(String(input));
        return Promise.resolve(new Response("x"));
      },
    });
    const [address = ""] = await lookUp(network, "old.test");
    await exchange(network, "GET / HTTP/1.0\r\n\r\n", ipEndpoint(address, 80));
    expect(urls).toEqual(["http://old.test/"]);
  });
});

describe("what cannot be fetched", () => {
  const failing: typeof fetch = () => Promise.reject(new TypeError("Failed to fetch"));
  const request = "GET / HTTP/1.1\r\nHost: www.test\r\n\r\n";

  it("because nobody listens is an answer that says so; the connection goes on", async () => {
    const network = makeNetwork({ fetch: () => fetch("http://127.0.0.1:1/") });
    const text = await exchange(network, request + request);
    expect(text).toMatch(/^HTTP\/1\.1 502 Unreachable: /);
    expect(text.match(/HTTP\/1\.1 502/g)).toHaveLength(2);
    expect(reports[0]).toMatchObject({ status: 502, url: "http://www.test/" });
    expect(reports[0]?.error).toContain("cannot be reached");
  });

  it("because of CORS, or because it is not there, is told as what it may be", async () => {
    const text = await exchange(makeNetwork({ fetch: failing }), request);
    expect(text).toMatch(/^HTTP\/1\.1 502 No connection, or no permission by CORS\r\n/);
    expect(text).toContain("Access-Control-Allow-Origin");
  });

  it("because the page may not fetch http is told as that", async () => {
    vi.stubGlobal("location", { origin: "https://page.test" });
    const network = makeNetwork({ fetch: failing, upgradeToHttps: false });
    expect(await exchange(network, request)).toMatch(/^HTTP\/1\.1 502 Mixed content\r\n/);
  });

  it("because there is no network is told as that", async () => {
    vi.stubGlobal("navigator", { onLine: false });
    const text = await exchange(makeNetwork({ fetch: failing }), request);
    expect(text).toMatch(/^HTTP\/1\.1 502 Offline\r\n/);
  });
});

describe("everything else", () => {
  it("is refused at once, with a hint", async () => {
    const network = makeNetwork();
    const [address = ""] = await lookUp(network, "safe.test");
    expect(network.connectStream(ipEndpoint(address, 443))).toBe(-Errno.ECONNREFUSED);
    expect(network.connectStream(ipEndpoint("192.0.2.1", 22))).toBe(-Errno.ECONNREFUSED);
    await expect.poll(() => refused.length).toBe(2);
    expect(refused[0]).toMatchObject({ name: "safe.test" });
    expect(refused[0]?.hint).toContain("safe.test:443 is TLS");
    expect(refused[1]?.hint).toContain("192.0.2.1:22 is not HTTP");
    const datagram = opened(network.openDatagram(4));
    expect(datagram.sendTo(Buffer.from("x"), ipEndpoint("192.0.2.1", 9))).toBe(-Errno.ENETUNREACH);
    await expect(network.listenStream(SOMEWHERE)).rejects.toMatchObject({ code: "ENOTSUP" });
  });

  it("but time is the page's", async () => {
    const network = makeNetwork();
    const user = new DatagramUser(opened(network.openDatagram(4)));
    user.trySend(
      Buffer.concat([Buffer.from([0x23]), Buffer.alloc(47)]),
      ipEndpoint("192.0.2.1", 123),
    );
    expect((await user.receive())[0]).toBe(0x24);
  });
});

describe("names", () => {
  it("have an address each, the same every time, and no other records", async () => {
    const network = makeNetwork();
    const [first] = await lookUp(network, "one.test");
    const [second] = await lookUp(network, "two.test");
    expect(first).toMatch(/^198\.1[89]\./);
    expect(second).not.toBe(first);
    expect(await lookUp(network, "ONE.test")).toEqual([first]);
    expect(await lookUp(network, "one.test", "AAAA")).toEqual([]);
  });

  it("may be of another range, and listed ones are what they are", async () => {
    const network = makeNetwork({
      pool: "10.99.0.0/16",
      dns: { static: { "own.test": "192.0.2.5" } },
    });
    expect(await lookUp(network, "one.test")).toEqual(["10.99.0.1"]);
    expect(await lookUp(network, "own.test")).toEqual(["192.0.2.5"]);
  });

  it("forget the one asked for longest ago where the range is used up", async () => {
    const network = makeNetwork({ pool: "10.99.0.0/24" });
    const first = await lookUp(network, "n0.test");
    for (let i = 1; i < 254; i++) await lookUp(network, `n${String(i)}.test`);
    expect(await lookUp(network, "n0.test")).toEqual(first);
    expect(await lookUp(network, "new.test")).toEqual(["10.99.0.2"]);
  });

  it.each(["10.0.0.0/30", "fd00::/8", "everything"])("need a range that can be: not %s", (pool) => {
    expect(() => createFetchHostNetwork({ pool })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});
