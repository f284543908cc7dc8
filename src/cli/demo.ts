/**
 * `slirp-wasm demo`: the demo page with all that it needs, on one port: the page, the guest's files, a relay, and a page that the guest
 * can fetch. It is for this machine: it listens on loopback, and its relay reaches the public internet, this server, and the system's
 * resolvers.
 */
import { randomBytes } from "node:crypto";
import { getServers } from "node:dns";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrorCode, SlirpError } from "../errors.js";
import { createRelay } from "../relay.js";
import { Ending } from "./ending.js";
import { EndedEarly, ExitStatus } from "./exit-status.js";
import { DEFAULT_IMAGE_FOLDER } from "./guest-image.js";
import { createLog, type LogOptions } from "./logging.js";
import { readTcpListenAddress } from "./options.js";

/** The command's own options, as written. */
export interface DemoFlags {
  readonly listen: string;
}

/** Where set-up puts the built page. */
const PAGE_FOLDER = fileURLToPath(new URL("../../build/demo", import.meta.url));

const OWN_NAME = "demo.localhost";

const RELAY_PATH = "/relay/";

/** Not /guest/: there the page shows what the guest serves. */
const IMAGE_PATH = "/image/";

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Answered to the guest, which sees plain text in its terminal. */
const HELLO =
  "Hello from the machine that serves this page. Your request has left the guest\nas frames, and libslirp has made a connection of them.\n";

/** Serves until it is told to end; answers the exit status. */
export async function serveDemo(flags: DemoFlags & LogOptions): Promise<number> {
  const address = readTcpListenAddress(flags.listen);
  await requireFile(join(PAGE_FOLDER, "index.html"), "the demo page is not built");
  await requireFile(join(DEFAULT_IMAGE_FOLDER, "image.json"), "there is no guest image");
  const log = await createLog(flags);
  using ending = new Ending();
  const server = createServer();
  await listen(server, address);
  const { port } = server.address() as AddressInfo;
  const resolvers = getServers().filter((resolver) => !resolver.includes("%"));
  // Other pages of this browser cannot read the settings, and so open no ports.
  const forwardToken = randomBytes(16).toString("base64url");
  const relay = createRelay({
    allow: [`127.0.0.1:${String(port)}`, ...resolvers.map((resolver) => `[${resolver}]:53`)],
    forwards: { ports: ["1024-65535"], tokens: [forwardToken] },
    log,
  });
  const settings = {
    forwardToken,
    relay: RELAY_PATH.slice(1),
    dnsServers: resolvers,
    // Browsers know the name as this machine's (RFC 6761, 6.3); to the guest the page tells the gateway, which stands for it.
    names: { [OWN_NAME]: "10.0.2.2" },
    hello: `http://${OWN_NAME}:${String(port)}/hello`,
  };
  server.on("request", (request, response) => {
    void answer(request, response, settings);
  });
  server.on("upgrade", (request, socket, head) => {
    if (request.url?.startsWith(RELAY_PATH)) relay.handleUpgrade(request, socket, head);
    else socket.destroy();
  });
  const name = address.host.includes(":") ? `[${address.host}]` : address.host;
  log.info({ port }, "serving the demo page; Ctrl-C ends it; open");
  process.stdout.write(`http://${name}:${String(port)}/\n`);
  await new Promise((resolve) => {
    ending.signal.addEventListener("abort", resolve, { once: true });
  });
  server.close();
  await relay.close(0);
  server.closeAllConnections();
  const { reason } = ending.signal as { reason: unknown };
  if (reason instanceof EndedEarly) return ExitStatus.success;
  throw reason;
}

async function listen(
  server: ReturnType<typeof createServer>,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  server.listen(port, host);
  await once(server, "listening").catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    const text = `--listen ${host}:${String(port)}: the address cannot be had (${String(code)})`;
    throw new SlirpError(ErrorCode.forwardFailed, text, { cause });
  });
}

async function requireFile(path: string, problem: string): Promise<void> {
  await stat(path).catch((cause: unknown) => {
    const text = `${problem}: ${path} is not there; to make it, run \`npm run setup\` in the checkout of slirp-wasm`;
    throw new SlirpError(ErrorCode.missingRequirement, text, { cause });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  settings: object,
): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { Allow: "GET, HEAD" }).end();
  } else if (path === "/hello") {
    // Read by the page when it fetches for the guest, and by the other name that is another origin.
    const headers = { "Content-Type": "text/plain", "Access-Control-Allow-Origin": "*" };
    response.writeHead(200, headers).end(HELLO);
  } else if (path === "/demo.json") {
    response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
    response.end(JSON.stringify(settings));
  } else if (path.startsWith(IMAGE_PATH)) {
    await sendFile(request, response, DEFAULT_IMAGE_FOLDER, path.slice(IMAGE_PATH.length));
  } else {
    await sendFile(request, response, PAGE_FOLDER, path === "/" ? "index.html" : path);
  }
}

/** Sends a file of a folder, and nothing from outside it. */
async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  folder: string,
  name: string,
): Promise<void> {
  const path = normalize(join(folder, name));
  const file = path.startsWith(folder + sep) ? await stat(path).catch(() => undefined) : undefined;
  if (!file?.isFile()) {
    response.writeHead(404, { "Content-Type": "text/plain" }).end("There is no such file.\n");
    return;
  }
  response.writeHead(200, {
    "Content-Type": CONTENT_TYPES[extname(path)] ?? "application/octet-stream",
    "Content-Length": file.size,
    // Built files have their hash in their name; the others are asked for anew.
    "Cache-Control": path.includes(`${sep}assets${sep}`)
      ? "max-age=31536000, immutable"
      : "no-cache",
  });
  if (request.method === "HEAD") response.end();
  else
    createReadStream(path)
      .on("error", () => response.destroy())
      .pipe(response);
}
