/** Relays that we did not write, reached as users reach them: by their upgrade handlers on an HTTP server. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { logging, server as wispJs } from "@mercuryworkshop/wisp-js/server";
import wispServerNode from "wisp-server-node";
import { waitUntil } from "../wait-until.js";

/** A relay under test conditions. */
export interface TestRelay extends AsyncDisposable {
  /** `ws://127.0.0.1:PORT/`. */
  readonly url: string;
}

type Upgrade = (request: IncomingMessage, socket: Socket, head: Buffer) => void;

async function start(onUpgrade: Upgrade): Promise<TestRelay> {
  const server = createServer();
  const sockets = new Set<Socket>();
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    sockets.add(socket);
    onUpgrade(request, socket, head);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${String(port)}/`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** wisp-js' server, which may reach loopback. `version`: what it speaks. */
export function startWispJs(version: 1 | 2): Promise<TestRelay> {
  logging.set_level(logging.NONE);
  Object.assign(wispJs.options, {
    allow_loopback_ips: true,
    allow_private_ips: true,
    wisp_version: version,
  });
  return start((request, socket, head) => {
    wispJs.routeRequest(request, socket, head);
  });
}

/** wisp-server-node, which speaks version 1. */
export function startWispServerNode(): Promise<TestRelay> {
  return start((request, socket, head) => {
    wispServerNode.routeRequest(request, socket, head, { logLevel: 3 });
  });
}

/** Why websockify cannot run here; undefined when it can. */
export function websockifyMissing(): string | undefined {
  const found = spawnSync("websockify", ["--help"]);
  return found.error ? "websockify is not there (Debian package websockify)" : undefined;
}

/** Debian's websockify; its URL is a template, for the target stands in the query (`websockify_targets.py`). */
export async function startWebsockify(): Promise<TestRelay> {
  const port = await freePort();
  const args = ["--token-plugin", "websockify_targets.AnyTarget", "--token-source", "any"];
  const child = spawn("websockify", [...args, `127.0.0.1:${String(port)}`], {
    env: { ...process.env, PYTHONPATH: fileURLToPath(new URL(".", import.meta.url)) },
    stdio: "ignore",
  });
  await waitUntil("websockify listens", () => canConnect(port));
  return {
    url: `ws://127.0.0.1:${String(port)}/?token={host}:{port}`,
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
