/** A relay with an HTTP server of its own, or HTTPS where a certificate is given. */
import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createRelay, type Relay, type RelayOptions } from "./relay.js";

/** How it is made. */
export interface ListenRelayOptions extends RelayOptions {
  /** Address to listen on. Default 127.0.0.1: only this machine. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Certificate chain and key, PEM. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
}

/** A relay that listens. */
export interface ListeningRelay extends AsyncDisposable {
  /** The relay itself, with its counters. */
  readonly relay: Relay;
  /** The HTTP or HTTPS server that it is mounted on. */
  readonly server: Server;
  /** The Wisp URL for clients on this machine. */
  readonly url: string;
  /** See {@link Relay.close}. */
  close(timeoutMs?: number): Promise<void>;
}

/**
 * Makes a relay and a server that it is mounted on.
 * @throws the system's error where the address cannot be had; SlirpError `invalidConfiguration` as `createRelay`
 */
export async function listenRelay(options: ListenRelayOptions = {}): Promise<ListeningRelay> {
  const { host = "127.0.0.1", port = 0, tls, ...rest } = options;
  const relay = createRelay(rest);
  const answer: RequestListener = (request, response) => {
    if (relay.handleRequest(request, response)) return;
    response.writeHead(426, { Upgrade: "websocket", "Content-Type": "text/plain" });
    response.end("This is a relay for WebSockets: Wisp at a path that ends in a slash.\n");
  };
  const server = tls ? createHttpsServer(tls, answer) : createHttpServer(answer);
  server.on("upgrade", (request, socket, head) => {
    relay.handleUpgrade(request, socket, head);
  });
  await once(server.listen(port, host), "listening");
  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(":") ? `[${host}]` : host;
  const token = rest.tokens?.[0];
  const path = token === undefined ? "/" : `/${encodeURIComponent(token)}/`;
  const close = async (timeoutMs?: number): Promise<void> => {
    server.close();
    await relay.close(timeoutMs);
    server.closeAllConnections();
  };
  return {
    relay,
    server,
    url: `${tls ? "wss" : "ws"}://${name}:${String(bound)}${path}`,
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}
