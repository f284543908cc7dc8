/**
 * The relay: a browser's WebSockets become real sockets.
 *
 *     const relay = createRelay({ allow: ["127.0.0.1:8000"] });
 *     server.on("upgrade", (request, socket, head) => relay.handleUpgrade(request, socket, head));
 *
 * It is mounted on an HTTP server that exists, or `listenRelay` makes one. What a URL's path says is what the client speaks: a path that
 * ends in a slash is Wisp (version 2 where a subprotocol is asked for), `/host:port` is wsproxy. Where tokens are set, the first part of
 * the path must be one of them. Who is not let in is told by an HTTP status, before there is a WebSocket.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { DEFAULT_LIMITS, type RelayLimits } from "./limits.js";
import type { RelayContext, RelaySession } from "./relay-context.js";
import { RelayLink } from "./relay-link.js";
import { SILENT_LOG, type RelayLog } from "./relay-log.js";
import { RelayMetrics } from "./relay-metrics.js";
import { TargetPolicy, type TargetPolicyOptions } from "./target-policy.js";
import { isEqual, WispSession } from "./wisp-session.js";
import { WsproxySession } from "./wsproxy-session.js";

/** How a relay is made. Every option has a default that is safe on a public address. */
export interface RelayOptions extends TargetPolicyOptions {
  /**
   * Pages that may use it: origins such as `https://example.org`. Default: pages on loopback, and clients that are no pages. `"*"`: all.
   */
  readonly origins?: readonly string[] | "*";
  /** Secrets, one of which must be the first part of the path: `wss://host/SECRET/`. Default: none is asked for. */
  readonly tokens?: readonly string[];
  /** Passwords by user name, asked of Wisp clients. Default: nobody is asked. */
  readonly users?: Readonly<Record<string, string>>;
  /** What it says of itself to Wisp clients. */
  readonly motd?: string;
  readonly limits?: Partial<RelayLimits>;
  readonly log?: RelayLog;
}

/** What a request may say of itself, beside its path. */
type Refusal = { readonly status: 400 | 401 | 403 | 404 | 503; readonly text: string };

/** See the top of the file. */
export class Relay {
  readonly metrics = new RelayMetrics();
  readonly #options: RelayOptions;
  readonly #context: RelayContext & { isDraining: boolean };
  readonly #server: WebSocketServer;
  readonly #sessions = new Map<RelayLink, RelaySession>();
  readonly #byClient = new Map<string, number>();
  #whenEmpty: (() => void) | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#context = {
      policy: new TargetPolicy(options),
      limits,
      users: new Map(Object.entries(options.users ?? {})),
      motd: options.motd,
      log: options.log ?? SILENT_LOG,
      metrics: this.metrics,
      isDraining: false,
    };
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // Compressed data is what most streams carry already, and each would cost a window of memory.
      perMessageDeflate: false,
      maxPayload: limits.maxMessageBytes,
      handleProtocols: (protocols) => [...protocols][0] ?? false,
    });
  }

  /** Takes over an HTTP upgrade. Refuses it itself where it is not to be. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const client = request.socket.remoteAddress ?? "";
    const path = this.#pathBehindToken(request);
    const refusal = this.#refuse(request, client, path);
    socket.on("error", () => undefined);
    if (refusal) {
      this.metrics.refusals.inc({ rule: String(refusal.status) });
      this.#context.log.info({ client, rule: refusal.text }, "refused a connection");
      const head = `HTTP/1.1 ${String(refusal.status)} ${refusal.text}\r\n`;
      socket.end(`${head}Connection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#start(webSocket, client, path ?? "/");
    });
  }

  /** Answers `/healthz`, `/readyz` and `/metrics`. False: the request is somebody else's. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean {
    const pathname = pathOf(request);
    if (pathname === "/healthz") {
      respond(response, 200, "ok\n");
    } else if (pathname === "/readyz") {
      const { isDraining } = this.#context;
      respond(response, isDraining ? 503 : 200, isDraining ? "ending\n" : "ready\n");
    } else if (pathname === "/metrics") {
      const { registry } = this.metrics;
      void registry.metrics().then((text) => {
        response.setHeader("Content-Type", registry.contentType);
        respond(response, 200, text);
      });
    } else {
      return false;
    }
    return true;
  }

  /** WebSockets that are open. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Takes nobody and opens nothing any more, waits for streams to end, and after `timeoutMs` ends them. Default 10,000. */
  async close(timeoutMs = 10_000): Promise<void> {
    this.#context.isDraining = true;
    for (const session of this.#sessions.values()) session.drain();
    if (this.#sessions.size === 0) return;
    const timer = setTimeout(() => {
      for (const link of this.#sessions.keys()) link.terminate();
    }, timeoutMs);
    await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    clearTimeout(timer);
  }

  #start(webSocket: WebSocket, client: string, path: string): void {
    const { limits } = this.#context;
    const link: RelayLink = new RelayLink({
      socket: webSocket,
      maxQueuedBytes: limits.maxQueuedBytes,
      pingIntervalMs: limits.pingIntervalMs,
      onMessage: (message, isBinary) => this.#sessions.get(link)?.receive(message, isBinary),
      onClose: () => {
        this.#end(link, client);
      },
      bytesIn: this.metrics.bytesIn,
      bytesOut: this.metrics.bytesOut,
    });
    this.metrics.connections.inc();
    this.#byClient.set(client, (this.#byClient.get(client) ?? 0) + 1);
    this.#context.log.debug({ client, path }, "a client came");
    const target = readTarget(path);
    const version = webSocket.protocol === "" ? 1 : 2;
    this.#sessions.set(
      link,
      target
        ? new WsproxySession(this.#context, client, link, target)
        : new WispSession(this.#context, client, link, version),
    );
  }

  #end(link: RelayLink, client: string): void {
    const session = this.#sessions.get(link);
    this.#sessions.delete(link);
    this.metrics.connections.dec();
    const others = (this.#byClient.get(client) ?? 1) - 1;
    if (others > 0) this.#byClient.set(client, others);
    else this.#byClient.delete(client);
    session?.end();
    if (this.#sessions.size === 0) this.#whenEmpty?.();
  }

  #refuse(request: IncomingMessage, client: string, path: string | undefined): Refusal | undefined {
    const { limits, isDraining } = this.#context;
    if (isDraining) return { status: 503, text: "The relay is ending" };
    if (!this.#knowsOrigin(request))
      return { status: 403, text: "This origin may not use the relay" };
    if (path === undefined) return { status: 401, text: "The path does not begin with a token" };
    if (!path.endsWith("/") && !readTarget(path)) {
      return { status: 404, text: "Neither a path with a slash at its end nor host:port" };
    }
    if (this.#sessions.size >= limits.maxConnections) {
      return { status: 503, text: "Too many connections" };
    }
    if ((this.#byClient.get(client) ?? 0) >= limits.maxConnectionsPerClient) {
      return { status: 503, text: "Too many connections of one client" };
    }
    return undefined;
  }

  /** Programs send no Origin. Pages on loopback are the user's own. */
  #knowsOrigin({ headers: { origin } }: IncomingMessage): boolean {
    const { origins } = this.#options;
    if (origin === undefined || origins === "*") return true;
    if (origins) return origins.includes(origin);
    return /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(origin);
  }

  /** The path, without the token that it must begin with; undefined where it does not. */
  #pathBehindToken(request: IncomingMessage): string | undefined {
    const { tokens } = this.#options;
    const pathname = pathOf(request);
    if (!tokens) return pathname;
    const [, first = ""] = pathname.split("/");
    // Every token is compared, so that time does not tell which is near.
    const known = tokens.map((token) => isEqual(first, token)).includes(true);
    return known ? pathname.slice(first.length + 1) : undefined;
  }
}

/** Makes a relay. @throws SlirpError `invalidConfiguration` for a rule that cannot be read. */
export function createRelay(options: RelayOptions = {}): Relay {
  return new Relay(options);
}

/** What stands before the query. Not by `URL`, which throws at what clients may send. */
function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?", 1)[0] ?? "/";
}

/** `/anything/host:port`, an IPv6 address in brackets. */
function readTarget(path: string): { readonly host: string; readonly port: number } | undefined {
  const last = path
    .slice(path.lastIndexOf("/") + 1)
    .replaceAll("%5B", "[")
    .replaceAll("%5D", "]");
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]%]+):(\d{1,5})$/i.exec(last);
  if (!match) return undefined;
  const [, host = "", port = ""] = match;
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

function respond(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Cache-Control": "no-store" });
  response.end(text);
}
