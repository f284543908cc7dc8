/**
 * The relay: a browser's WebSockets become real sockets.
 *
 *     const relay = createRelay({ allow: ["127.0.0.1:8000"] });
 *     server.on("upgrade", (request, socket, head) => relay.handleUpgrade(request, socket, head));
 *
 * It is mounted on an HTTP server that exists, or `listenRelay` makes one. What a URL's path says is what the client speaks: a path that
 * ends in a slash is Wisp (version 2 where a subprotocol is asked for), `/host:port` is wsproxy, `/l2/ROOM` is Ethernet, and paths of
 * `websockify` lead to the target that each names. Where tokens are set, the first part of the path must be one of them. Who is not let
 * in is told by an HTTP status, before there is a WebSocket.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { SILENT_LOG, type LogSink } from "../log-sink.js";
import { Credentials, type CredentialOptions } from "./credentials.js";
import { DNS_QUERY_PATH, DnsOverHttps } from "./dns-over-https.js";
import { DEFAULT_LIMITS, type RelayLimits } from "./limits.js";
import type { RelayContext, RelaySession } from "./relay-context.js";
import { ListenPolicy, type ForwardOptions } from "./listen-policy.js";
import { RelayAccess, type AccessOptions } from "./relay-access.js";
import { RelayLink } from "./relay-link.js";
import { RelayMetrics } from "./relay-metrics.js";
import { pathOf, readRoom, readTarget, readWebsockify, type Target } from "./relay-paths.js";
import { RoomSession } from "./room-session.js";
import { Rooms, type CreateGateway } from "./rooms.js";
import { TargetPolicy, type TargetPolicyOptions } from "./target-policy.js";
import { TokenBucket } from "./token-bucket.js";
import { WispSession } from "./wisp-session.js";
import { WsproxySession } from "./wsproxy-session.js";

/** How a relay is made. Every option has a default that is safe on a public address. */
export interface RelayOptions extends TargetPolicyOptions, CredentialOptions, AccessOptions {
  /** What it says of itself to Wisp clients. */
  readonly motd?: string;
  /**
   * Targets that have a path of their own, `{ "/db": "127.0.0.1:5432" }`, as websockify has them: the client does not name one. The
   * policy does not concern them.
   */
  readonly websockify?: Readonly<Record<string, string>>;
  /** Ports of the relay that clients may have opened, for forwards to their guests. Default: none. */
  readonly forwards?: ForwardOptions;
  /** Makes the gateways of rooms, `/l2/ROOM`. Default: there are no rooms. */
  readonly createGateway?: CreateGateway;
  /** Answers DNS over HTTPS at `/dns-query`, by the system's resolvers or by those named. Default: it does not. */
  readonly dnsOverHttps?: boolean | readonly string[];
  /** Those of `DEFAULT_LIMITS` that are to be others. */
  readonly limits?: Partial<RelayLimits>;
  /** Told who comes, what is refused and by which rule. Default: nobody. */
  readonly log?: LogSink;
}

/** What is known of a client address while it has WebSockets. */
interface Client {
  connections: number;
  readonly rate: TokenBucket;
}

/** For targets that the relay's owner has named. */
const OPEN_POLICY = new TargetPolicy({ allow: ["*:1-65535"] });

/** What a request may say of itself, beside its path. */
type Refusal = { readonly status: 400 | 401 | 403 | 404 | 503; readonly text: string };

/** A relay, to be mounted on an HTTP server; made by {@link createRelay}. */
export class Relay {
  /** What it counts, as `/metrics` prints it. */
  readonly metrics = new RelayMetrics();
  readonly #access: RelayAccess;
  readonly #context: RelayContext & { isDraining: boolean };
  readonly #server: WebSocketServer;
  readonly #sessions = new Map<RelayLink, RelaySession>();
  readonly #byClient = new Map<string, Client>();
  readonly #fixedTargets: ReadonlyMap<string, Target>;
  readonly #rate: TokenBucket;
  readonly #rooms: Rooms | undefined;
  readonly #dns: DnsOverHttps | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(options: RelayOptions) {
    this.#access = new RelayAccess(options);
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#context = {
      policy: new TargetPolicy(options),
      listenPolicy: options.forwards && new ListenPolicy(options.forwards),
      limits,
      credentials: new Credentials(options),
      motd: options.motd,
      log: options.log ?? SILENT_LOG,
      metrics: this.metrics,
      isDraining: false,
    };
    this.#rate = new TokenBucket(limits.bytesPerSecond);
    this.#fixedTargets = readWebsockify(options.websockify);
    const { createGateway, dnsOverHttps } = options;
    this.#rooms = createGateway && new Rooms(this.#context, createGateway);
    if (dnsOverHttps !== undefined && dnsOverHttps !== false) {
      const resolvers = dnsOverHttps === true ? undefined : dnsOverHttps;
      this.#dns = new DnsOverHttps(this.#context, resolvers);
    }
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
    const path = this.#access.pathBehindToken(request);
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
      this.#start(webSocket, client, path ?? "/", pathOf(request));
    });
  }

  /** Answers `/healthz`, `/readyz`, `/metrics`, and `/dns-query` where it is on. False: the request is somebody else's. */
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
      return this.#answerDns(request, response);
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
    if (this.#sessions.size > 0) await this.#waitUntilEmpty(timeoutMs);
    await this.#rooms?.close();
  }

  async #waitUntilEmpty(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const link of this.#sessions.keys()) link.terminate();
    }, timeoutMs);
    await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    clearTimeout(timer);
  }

  #answerDns(request: IncomingMessage, response: ServerResponse): boolean {
    const path = this.#access.pathBehindToken(request);
    if (!this.#dns || !pathOf(request).endsWith(DNS_QUERY_PATH)) return false;
    if (path !== undefined && path !== DNS_QUERY_PATH) return false;
    const client = request.socket.remoteAddress ?? "";
    if (path === undefined) respond(response, 401, "The path does not begin with a token\n");
    else if (!this.#access.knowsOrigin(request))
      respond(response, 403, "This origin may not ask\n");
    else void this.#dns.answer(request, response, client);
    return true;
  }

  #start(webSocket: WebSocket, client: string, path: string, wholePath: string): void {
    const { limits } = this.#context;
    const known = this.#byClient.get(client) ?? {
      connections: 0,
      rate: new TokenBucket(limits.bytesPerSecondPerClient),
    };
    const link: RelayLink = new RelayLink({
      socket: webSocket,
      ...limits,
      rates: [known.rate, this.#rate],
      onMessage: (message, isBinary) => this.#sessions.get(link)?.receive(message, isBinary),
      onClose: () => {
        this.#end(link, client);
      },
      bytesIn: this.metrics.bytesIn,
      bytesOut: this.metrics.bytesOut,
    });
    this.metrics.connections.inc();
    known.connections++;
    this.#byClient.set(client, known);
    this.#context.log.debug({ client, path }, "a client came");
    const version = webSocket.protocol === "" ? 1 : 2;
    this.#sessions.set(
      link,
      this.#openTunnel(link, client, path, wholePath) ??
        new WispSession(this.#context, client, link, version),
    );
  }

  /** What is no Wisp. */
  #openTunnel(
    link: RelayLink,
    client: string,
    path: string,
    wholePath: string,
  ): RelaySession | undefined {
    const fixed = this.#fixedTargets.get(path);
    if (fixed) {
      return new WsproxySession({ ...this.#context, policy: OPEN_POLICY }, client, link, fixed);
    }
    const room = readRoom(path);
    // Who has another token has other rooms.
    if (room !== undefined && this.#rooms) {
      return new RoomSession(this.#context, link, this.#rooms, { key: wholePath, name: room });
    }
    const target = readTarget(path);
    return target && new WsproxySession(this.#context, client, link, target);
  }

  #end(link: RelayLink, client: string): void {
    const session = this.#sessions.get(link);
    this.#sessions.delete(link);
    this.metrics.connections.dec();
    const known = this.#byClient.get(client);
    if (known && --known.connections === 0) this.#byClient.delete(client);
    session?.end();
    if (this.#sessions.size === 0) this.#whenEmpty?.();
  }

  #refuse(request: IncomingMessage, client: string, path: string | undefined): Refusal | undefined {
    const { limits, isDraining } = this.#context;
    if (isDraining) return { status: 503, text: "The relay is ending" };
    if (!this.#access.knowsOrigin(request))
      return { status: 403, text: "This origin may not use the relay" };
    if (path === undefined) return { status: 401, text: "The path does not begin with a token" };
    const room = readRoom(path);
    if (room !== undefined && !this.#rooms) return { status: 404, text: "There are no rooms" };
    const isTunnel = room !== undefined || this.#fixedTargets.has(path);
    if (!path.endsWith("/") && !isTunnel && !readTarget(path)) {
      return { status: 404, text: "Neither a path with a slash at its end nor host:port" };
    }
    if (this.#sessions.size >= limits.maxConnections) {
      return { status: 503, text: "Too many connections" };
    }
    if ((this.#byClient.get(client)?.connections ?? 0) >= limits.maxConnectionsPerClient) {
      return { status: 503, text: "Too many connections of one client" };
    }
    const full = room !== undefined ? this.#rooms?.refusal(pathOf(request)) : undefined;
    if (full !== undefined) return { status: 503, text: full };
    return undefined;
  }
}

/** Makes a relay. @throws SlirpError `invalidConfiguration` for a rule that cannot be read. */
export function createRelay(options: RelayOptions = {}): Relay {
  return new Relay(options);
}

function respond(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Cache-Control": "no-store" });
  response.end(text);
}
