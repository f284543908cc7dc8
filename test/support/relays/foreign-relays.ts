/** Relays that we did not write, reached as users reach them: by their upgrade handlers on an HTTP server. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { logging, server as wispJs } from "@mercuryworkshop/wisp-js/server";
import wispServerNode from "wisp-server-node";

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
