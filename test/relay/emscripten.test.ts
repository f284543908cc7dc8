/**
 * A program with POSIX sockets, compiled by emscripten, and our relay in websockify's place; test/page/emscripten.test.ts has the same in
 * a page.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it, type TestContext } from "vitest";
import { buildSocketClient, emscriptenMissing } from "../support/emscripten/build-socket-client.js";
import { RelayKit } from "./relay-kit.js";

const kit = new RelayKit();
const WS = createRequire(import.meta.url).resolve("ws");

/**
 * The package ws as emscripten 3.1.6 knows it, which is version 2: subprotocols are an option, and a message comes with flags. Of a
 * message of version 8 it would see no flags, and throw it away.
 */
const OLD_WS = `const { WebSocket } = require(${JSON.stringify(WS)});
module.exports = class extends WebSocket {
  constructor(url, { protocol } = {}) { super(url, protocol ? protocol.split(",") : []); }
  on(name, listener) {
    if (name !== "message") return super.on(name, listener);
    return super.on(name, (data, isBinary) => listener(data, { binary: isBinary }));
  }
};`;

const TEXT = "hello, world";
const BYTES = 600_000;
const SUM = Array.from(Buffer.from(TEXT.repeat(BYTES / TEXT.length))).reduce((a, b) => a + b, 0);
const EXPECTED = `received ${String(BYTES)} bytes, sum ${String(SUM)}\n`;

let program: string;

beforeAll(async () => {
  if (emscriptenMissing() === undefined) program = await buildSocketClient();
}, 120_000);

function needsEmscripten(ctx: TestContext): void {
  const missing = emscriptenMissing();
  if (missing !== undefined) ctx.skip(missing);
}

/** Runs the program, which dials `host:port`, or the URL where one is given. */
async function run(host: string, port: string, url?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-client-"));
  try {
    const file = join(folder, "client.cjs");
    await writeFile(file, program);
    await mkdir(join(folder, "node_modules/ws"), { recursive: true });
    await writeFile(join(folder, "node_modules/ws/index.js"), OLD_WS);
    const env = { ...process.env, ...(url !== undefined && { SOCKET_URL: url }) };
    const words = [file, host, port, TEXT, String(BYTES)];
    const { stdout } = await promisify(execFile)(process.execPath, words, { env }).catch(
      (error: unknown) => error as { stdout: string },
    );
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function echoTarget(): Promise<string> {
  const { endpoint, connection } = await kit.peers.tcpServer();
  if (endpoint.family === "unix") throw new Error("not TCP");
  void connection().then((socket) => socket.pipe(socket));
  return `127.0.0.1:${String(endpoint.port)}`;
}

describe("a program compiled by emscripten", () => {
  it("that connects to the relay's address reaches the target of its root", async (ctx) => {
    needsEmscripten(ctx);
    const { url } = await kit.start({ websockify: { "/": await echoTarget() } });
    const { hostname, port } = new URL(url);
    expect(await run(hostname, port)).toBe(EXPECTED);
  });

  it("that is given a URL reaches the target of its path, or host and port in it", async (ctx) => {
    needsEmscripten(ctx);
    const target = await echoTarget();
    const named = await kit.start({ websockify: { "/db": target } });
    expect(await run("192.0.2.1", "5432", `${named.url}db`)).toBe(EXPECTED);
    const other = await echoTarget();
    const open = await kit.start();
    expect(await run("192.0.2.1", "80", open.url + other)).toBe(EXPECTED);
  });

  it("is told by an end that there is nobody", async (ctx) => {
    needsEmscripten(ctx);
    const { port } = await kit.peers.closedTcpEndpoint();
    const { url } = await kit.start({ websockify: { "/db": `127.0.0.1:${String(port)}` } });
    expect(await run("192.0.2.1", "5432", `${url}db`)).toMatch(/^(closed|recv|send): /);
  });
});
