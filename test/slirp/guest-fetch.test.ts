/**
 * HTTP/1.1 of `slirp.fetch`, against Node's own server and against answers made byte by byte: there connections go to loopback. How it
 * goes with a stack is shown with a guest made of frames; test/system has a real one.
 */
import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import {
  connect as connectTcp,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";
import { Writable } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { fetchFromGuest } from "../../src/slirp/guest-fetch.js";
import type { GuestSocket } from "../../src/slirp-backend.js";
import { testBytes } from "../host-network-contract/test-data.js";
import type { RawConnection } from "../support/raw-connection.js";
import { closeWorldsAfterEach, openWorld, type World } from "../support/raw-world.js";

closeWorldsAfterEach();

const servers: Server[] = [];
const sockets = new Set<Socket>();

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

async function connectToLoopback({ port }: { port: number }): Promise<GuestSocket> {
  const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
  sockets.add(socket);
  await once(socket, "connect");
  const closed = new Promise<undefined>((resolve) => {
    socket.once("close", () => {
      resolve(undefined);
    });
  });
  socket.on("error", () => undefined);
  // Duplex.toWeb ends the readable side only when the writable one has ended too.
  const pieces: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(new Uint8Array(value));
      },
    },
    { highWaterMark: 0 },
  );
  return {
    readable,
    writable: Writable.toWeb(socket) as GuestSocket["writable"],
    opened: Promise.resolve({ remoteAddress: "", localAddress: "" }),
    closed,
    close: () => {
      socket.destroy();
      return closed;
    },
  };
}

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://guest:${String((server.address() as AddressInfo).port)}`;
}

const serve = (listener: RequestListener): Promise<string> => listen(createHttpServer(listener));

/** A server that answers each request with these bytes, and ends the connection. */
function answerWith(...pieces: string[]): Promise<string> {
  return listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("data", () => {
        socket.end(Buffer.from(pieces.join(""), "latin1"));
      });
    }),
  );
}

const get = (url: string, init?: RequestInit): Promise<Response> =>
  fetchFromGuest(connectToLoopback, url, init);

async function whyFails(promise: Promise<unknown>): Promise<{ code?: string; message: string }> {
  return promise.then(
    () => {
      throw new Error("did not fail");
    },
    (reason: unknown) => reason as { code?: string; message: string },
  );
}

describe("fetch", () => {
  it("gives a Response with status, fields, URL and a streamed body", async () => {
    const bytes = testBytes(700_000, 1);
    const base = await serve((request, response) => {
      response.writeHead(200, "Fine", { "x-path": request.url, "x-host": request.headers.host });
      response.end(bytes);
    });
    const response = await get(`${base}/a/b?c=d#e`);
    expect(response).toBeInstanceOf(Response);
    expect([response.status, response.statusText, response.ok]).toEqual([200, "Fine", true]);
    expect([response.url, response.redirected]).toEqual([`${base}/a/b?c=d#e`, false]);
    expect(response.headers.get("x-path")).toBe("/a/b?c=d");
    expect(response.headers.get("x-host")).toBe(base.slice("http://".length));
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it("sends method, fields and bodies of each kind, with a length where it is known", async () => {
    const base = await serve((request, response) => {
      void (async () => {
        const pieces: Buffer[] = [];
        for await (const piece of request) pieces.push(piece as Buffer);
        const { method, headers } = request;
        response.end(JSON.stringify({ method, headers, body: Buffer.concat(pieces).toString() }));
      })();
    });
    interface Echo {
      method: string;
      headers: Record<string, string>;
      body: string;
    }
    const ask = async (init: RequestInit): Promise<Echo> =>
      (await (await get(base, init)).json()) as Echo;
    const text = await ask({ method: "post", body: "größer", headers: { "x-mine": "1" } });
    expect(text).toMatchObject({ method: "POST", body: "größer" });
    expect(text.headers).toMatchObject({
      "x-mine": "1",
      "content-length": "8",
      "content-type": "text/plain;charset=UTF-8",
    });
    const form = new FormData();
    form.append("field", "value");
    const sent = await ask({ method: "POST", body: form });
    const boundary = /boundary=(.*)/.exec(sent.headers["content-type"] ?? "")?.[1];
    expect(sent.body).toContain(`--${String(boundary)}`);
    const blob = await ask({ method: "PUT", body: new Blob(["blob"], { type: "text/x" }) });
    expect(blob.headers).toMatchObject({ "content-length": "4", "content-type": "text/x" });
    const stream = new Blob(["stre", "amed"]).stream();
    const streamed = await ask({ method: "POST", body: stream });
    expect(streamed).toMatchObject({
      body: "streamed",
      headers: { "transfer-encoding": "chunked" },
    });
    const request = new Request("http://guest/x", { method: "POST", body: "small" });
    const given = await fetchFromGuest(
      () => connectToLoopback({ port: Number(new URL(base).port) }),
      request,
    );
    expect(await given.json()).toMatchObject({ body: "small", headers: { "content-length": "5" } });
  });

  it("reads chunks, however they are cut, extensions and trailers passed over", async () => {
    const base = await answerWith(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "5;name=value\r\nhello\r\n1\r\n \r\n00000005\r\nworld\r\n0\r\nx-trailer: 1\r\n\r\n",
    );
    expect(await (await get(base)).text()).toBe("hello world");
  });

  it("streams: a piece can be read before the next is sent", async () => {
    let finish: () => void = () => undefined;
    const base = await serve((_request, response) => {
      response.write("first");
      finish = () => response.end("second");
    });
    const reader = (await get(base)).body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("first");
    finish();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("second");
    expect((await reader?.read())?.done).toBe(true);
  });

  it("takes HTTP/1.0, bare line feeds, continued fields and a body that ends with the connection", async () => {
    const base = await answerWith(
      "HTTP/1.0 200\nX-Long: a\n  b\nContent-Type: text/x\n\nto the end",
    );
    const response = await get(base);
    expect(response.headers.get("x-long")).toBe("a b");
    expect(await response.text()).toBe("to the end");
  });

  for (const status of [204, 304]) {
    it(`has no body for ${String(status)}, though a length is told`, async () => {
      const base = await answerWith(`HTTP/1.1 ${String(status)} X\r\nContent-Length: 5\r\n\r\n`);
      const response = await get(base);
      expect([response.status, response.body]).toEqual([status, null]);
    });
  }

  it("has no body for HEAD, and keeps the length that is told", async () => {
    const base = await serve((_request, response) => response.end("body"));
    const response = await get(base, { method: "HEAD" });
    expect(response.body).toBeNull();
    const told = await get(await answerWith("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), {
      method: "HEAD",
    });
    expect(told.headers.get("content-length")).toBe("5");
  });

  it("passes over interim answers, and holds a body back until 100 Continue", async () => {
    const seen: string[] = [];
    const base = await listen(
      createServer((socket) => {
        sockets.add(socket);
        socket.on("data", (bytes) => {
          seen.push(bytes.toString().includes("BODY") ? "body" : "head");
          if (seen.at(-1) === "head")
            socket.write("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
          else socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
      }),
    );
    const init = { method: "POST", body: "BODY", headers: { expect: "100-continue" } };
    expect(await (await get(base, init)).text()).toBe("ok");
    expect(seen).toEqual(["head", "body"]);
  });

  it("does not send a body that was refused, and one that nobody says 100 to all the same", async () => {
    const refusing = await answerWith("HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n");
    const init = { method: "POST", body: "BODY", headers: { expect: "100-continue" } };
    expect((await get(refusing, init)).status).toBe(413);
    const silent = await listen(
      createServer((socket) => {
        sockets.add(socket);
        socket.on("data", (bytes) => {
          if (bytes.toString().includes("BODY")) socket.end("HTTP/1.1 200 OK\r\n\r\nlate");
        });
      }),
    );
    expect(await (await get(silent, init)).text()).toBe("late");
  });

  it("gives the answer of a server that does not want the rest of a body", async () => {
    const base = await serve((_request, response) => {
      response.writeHead(413, { connection: "close" }).end("enough");
    });
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(16_384));
      },
    });
    const init = { method: "POST", body: endless, duplex: "half" } as RequestInit;
    const response = await get(base, init);
    expect(response.status).toBe(413);
    await response.text().catch(() => undefined);
  });

  it("unpacks what lies packed on the server", async () => {
    const base = await serve((_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("unpacked"));
    });
    expect(await (await get(base)).text()).toBe("unpacked");
  });
});

describe("fetch of a stack", () => {
  const HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

  /** Asks a guest made of frames; answers the guest's end too. */
  async function ask(
    init: RequestInit = {},
    url = "http://guest/",
  ): Promise<{ answer: Promise<Response>; connection: RawConnection; world: World }> {
    const world = await openWorld();
    world.guest.arp();
    let connection: RawConnection | undefined;
    world.guest.listen(80, (incoming) => (connection = incoming));
    const answer = world.slirp.fetch(url, init);
    answer.catch(() => undefined);
    const found = await world.guest.until(() => connection, "the connection");
    await world.guest.until(() => found.receivedBytes > 0, "the request");
    return { answer, connection: found, world };
  }

  it.each(["http://guest/", "http://localhost/", "http://127.0.0.1/", "http://10.0.2.15/"])(
    "reaches the guest as %s",
    async (url) => {
      const { answer, connection } = await ask({}, url);
      expect(connection.take().toString()).toContain(`host: ${new URL(url).host}\r\n`);
      connection.sendNow(Buffer.from(`${HEAD}0123456789`));
      expect(await (await answer).text()).toBe("0123456789");
    },
  );

  it("ends with the signal's reason while it waits for an answer", async () => {
    const controller = new AbortController();
    const { answer, connection, world } = await ask({ signal: controller.signal });
    controller.abort(new Error("enough"));
    expect((await whyFails(answer)).message).toBe("enough");
    await world.guest.until(() => connection.reset, "RST");
  });

  it("ends with the signal's reason while the body comes", async () => {
    const controller = new AbortController();
    const { answer, connection, world } = await ask({ signal: controller.signal });
    connection.sendNow(Buffer.from(`${HEAD}abc`));
    const reader = (await answer).body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("abc");
    controller.abort(new Error("enough"));
    expect((await whyFails(reader?.read() ?? Promise.resolve())).message).toBe("enough");
    await world.guest.until(() => connection.reset, "RST");
  });

  it("is told to the guest by RST where the body is cancelled, and by FIN where it was read", async () => {
    const cancelled = await ask();
    cancelled.connection.sendNow(Buffer.from(`${HEAD}abc`));
    await (await cancelled.answer).body?.cancel();
    await cancelled.world.guest.until(() => cancelled.connection.reset, "RST");
    const read = await ask();
    read.connection.sendNow(Buffer.from(`${HEAD}0123456789`));
    expect(await (await read.answer).text()).toBe("0123456789");
    await read.world.guest.until(() => read.connection.finReceived, "FIN");
  });

  it("fails where the connection is cut off, and gives what came before", async () => {
    const { answer, connection } = await ask();
    await connection.send(Buffer.from(`${HEAD}abc`));
    const response = await answer;
    connection.sendReset();
    const reader = response.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("abc");
    const reason = await whyFails(reader?.read() ?? Promise.resolve());
    expect(reason).toMatchObject({ code: ErrorCode.connectionReset });
  });

  it("fails with what the source of its body fails with", async () => {
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        source = controller;
      },
    });
    const init = { method: "POST", body, duplex: "half" } as RequestInit;
    const { answer, connection, world } = await ask(init);
    source?.error(new Error("no more ink"));
    expect((await whyFails(answer)).message).toBe("no more ink");
    await world.guest.until(() => connection.reset, "RST");
  });
});

describe("redirects of fetch", () => {
  const redirecting = (): Promise<string> =>
    serve((request, response) => {
      const [, status, location] = /^\/(\d+)\/(.*)/.exec(request.url ?? "") ?? [];
      if (status !== undefined && location !== undefined) {
        response.writeHead(Number(status), { location: decodeURIComponent(location) }).end("moved");
        return;
      }
      const { method, headers, url } = request;
      let body = "";
      request.on("data", (bytes: Buffer) => (body += bytes.toString()));
      request.on("end", () => response.end(JSON.stringify({ method, headers, url, body })));
    });

  it("are followed, relative and absolute, and told", async () => {
    const base = await redirecting();
    const response = await get(`${base}/301/${encodeURIComponent("/there")}#mark`);
    expect([response.redirected, response.url]).toEqual([true, `${base}/there#mark`]);
    const local = base.replace("guest", "localhost");
    const absolute = await get(`${base}/307/${encodeURIComponent(`${local}/end`)}`, {
      headers: { authorization: "secret" },
    });
    expect(absolute.url).toBe(`${local}/end`);
    expect(((await absolute.json()) as { headers: object }).headers).not.toHaveProperty(
      "authorization",
    );
  });

  it("change POST to GET where the standard does, and keep the body where it does", async () => {
    const base = await redirecting();
    const post = (status: number): Promise<unknown> =>
      get(`${base}/${String(status)}/%2Fend`, { method: "POST", body: "kept" }).then((r) =>
        r.json(),
      );
    for (const status of [301, 302, 303]) {
      expect(await post(status)).toMatchObject({ method: "GET", body: "" });
    }
    for (const status of [307, 308]) {
      expect(await post(status)).toMatchObject({ method: "POST", body: "kept" });
    }
  });

  it("are handed over or refused where that is asked for", async () => {
    const base = await redirecting();
    const manual = await get(`${base}/302/end`, { redirect: "manual" });
    expect([manual.status, manual.headers.get("location")]).toEqual([302, "end"]);
    const refused = await whyFails(get(`${base}/302/end`, { redirect: "error" }));
    expect(refused).toMatchObject({ code: ErrorCode.badHttpResponse });
  });

  it("fail where they lead out of the guest, round in circles, or want a stream again", async () => {
    const base = await redirecting();
    const out = await whyFails(get(`${base}/302/${encodeURIComponent("http://example.org/")}`));
    expect(out.message).toContain("out of the guest");
    const circle = await serve((_request, response) =>
      response.writeHead(302, { location: "/" }).end(),
    );
    expect((await whyFails(get(circle))).message).toContain("more than 20");
    const body = new Blob(["once"]).stream();
    const init = { method: "POST", body, duplex: "half" } as RequestInit;
    expect((await whyFails(get(`${base}/307/end`, init))).message).toContain("stream");
  });
});

describe("fetch refuses an answer", () => {
  const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const [what, answer, said] of [
    ["of nothing", "", "without one"],
    ["of another protocol", "SSH-2.0-OpenSSH\r\n", "SSH-2.0"],
    ["with half a head", "HTTP/1.1 200 OK\r\nServer: x", "within its head"],
    ["with a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 20"],
    ["with status 600", "HTTP/1.1 600 X\r\n\r\n", "600"],
    ["with a field without a colon", "HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "broken"],
    ["with a space before a colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "A : b"],
    ["with an endless head", `HTTP/1.1 200 OK\r\nA: ${"a".repeat(70_000)}\r\n\r\n`, "longer than"],
    [
      "with two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "1, 2",
    ],
    ["with a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "-1"],
    [
      "with length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "both",
    ],
    ["with an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"],
    ["that switches protocols", "HTTP/1.1 101 Up\r\n\r\n", "switches"],
    ["that ends too early", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "3 of 10"],
    ["whose chunk has no size", `${CHUNKED}zz\r\n`, "zz"],
    ["whose chunk is too long", `${CHUNKED}2\r\nabc\r\n`, "goes on"],
    ["whose chunk is cut off", `${CHUNKED}5\r\nab`, "2 of 5"],
    ["without a last chunk", `${CHUNKED}2\r\nab\r\n`, "last chunk"],
  ] as const) {
    it(what, async () => {
      const base = await answerWith(answer);
      const reason = await whyFails(get(base).then((response) => response.text()));
      expect(reason).toMatchObject({ code: ErrorCode.badHttpResponse });
      expect(reason.message).toContain(said);
    });
  }
});

describe("fetch refuses to ask", () => {
  for (const [what, url, init, said] of [
    ["another host", "http://example.org/", {}, "example.org"],
    ["with TLS", "https://guest/", {}, "https:"],
    ["a relative URL", "/index.html", {}, "absolute"],
    ["with a password in the URL", "http://a:b@guest/", {}, "password"],
    ["by CONNECT", "http://guest/", { method: "CONNECT" }, "CONNECT"],
    ["by half a method", "http://guest/", { method: "GET /" }, "GET /"],
    ["by GET with a body", "http://guest/", { body: "x" }, "no body"],
  ] as const) {
    it(what, async () => {
      const reason = await whyFails(get(url, init));
      expect(reason).toMatchObject({ code: ErrorCode.invalidConfiguration });
      expect(reason.message).toContain(said);
    });
  }
});
