/** Relays that we did not write, reached as users reach them: by their upgrade handlers on an HTTP server. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { extensions, logging, server as wispJs } from "@mercuryworkshop/wisp-js/server";
import wispServerNode from "wisp-server-node";
import { WebSocketServer } from "ws";
import { encodeClose, WispReason } from "../../../src/wisp.js";
import { waitUntil } from "../wait-until.js";

/** A relay under test conditions. */
export interface TestRelay extends AsyncDisposable {
  /** `ws://127.0.0.1:PORT/`. */
  readonly url: string;
}

/** A relay that wants a password. */
export interface CheckingRelay extends TestRelay {
  /** How many clients were refused. */
  readonly refused: number;
  /** Loses all its clients. */
  hangUp(): void;
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

/**
 * wisp-js' server for one user. It reads passwords, in draft 5's form only, and leaves it to who embeds it what to make of them; and since
 * it cuts off their ends when it reads, what it reads is compared with what it reads of its own client's. `says`: how it refuses, by
 * the reason or by hanging up.
 */
export async function startWispJsWithPassword(
  user: { readonly username: string; readonly password: string },
  says: "badPassword" | "nothing",
): Promise<CheckingRelay> {
  logging.set_level(logging.NONE);
  Object.assign(wispJs.options, { allow_loopback_ips: true, allow_private_ips: true });
  const { PasswordAuthExtension: Password } = extensions;
  const known = Password.Client.parse(new Password({ client_config: user }).payload.serialize());
  let refused = 0;
  class CheckingConnection extends wispJs.ServerConnection {
    override async setup_wisp_v2(): Promise<void> {
      await super.setup_wisp_v2();
      const given = this.client_exts[Password.id]?.payload;
      if (given?.username === known.username && given.password === known.password) return;
      refused++;
      if (says === "badPassword") await this.ws.send(encodeClose(0, WispReason.badPassword));
      throw new Error("refused");
    }
  }
  const sockets = new WebSocketServer({ noServer: true });
  const relay = await start((request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.binaryType = "arraybuffer";
      const wisp_extensions = [new Password({ server_config: { required: 1 } })];
      const options = { wisp_version: 2, wisp_extensions } as const;
      const connection = new CheckingConnection(client, "/", options);
      void connection
        .setup()
        .then(() => connection.run())
        .catch(() => {
          client.close();
        });
    });
  });
  return {
    url: relay.url,
    get refused() {
      return refused;
    },
    hangUp() {
      for (const client of sockets.clients) client.terminate();
    },
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
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
