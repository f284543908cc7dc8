/**
 * HOST NETWORK on relays of wsproxy's and websockify's kind: each TCP connection of the guest is a WebSocket of its own, its target named by
 * the URL (`wss://relay/host:port`) or fixed. The relay needs to know nothing but WebSockets; what that costs is said in
 * `wsproxy-stream.ts`. There is no UDP (the guest is told so by ICMP), so that names are looked up by DNS over HTTPS, or over TCP: see
 * `withNames`.
 */
import { ipEndpoint, type HostEndpoint, type IpEndpoint } from "../address.js";
import { Errno, type HostStream } from "../host-network.js";
import { PageHostNetwork } from "./page-host-network.js";
import { ReceiveBudget } from "./receive-budget.js";
import { relayUrl, webSocketClass, type WebSocketClass } from "./web-socket.js";
import type { RelayStatus } from "./wisp-relays.js";
import { WsproxyStream, type WsproxyStreamParts } from "./wsproxy-stream.js";

/** How a host network on a wsproxy relay is made. */
export interface WsproxyHostNetworkOptions {
  /**
   * The relay: `wss://relay.example.org/`, to which `host:port` is appended (IPv6 in brackets). Where a relay wants it otherwise, with
   * `{host}` and `{port}` in their places: `wss://relay.example.org/?token={host}:{port}`.
   */
  readonly url: string;
  /** websockify: the URL is used as it is, and every connection ends at the target that the relay is set to. Default false. */
  readonly fixedTarget?: boolean;
  /** Subprotocols to ask for; old websockifys want `["binary"]`. Default none. */
  readonly protocols?: readonly string[];
  /** The WebSocket class. Default: the global one, which Node 20 has not. */
  readonly webSocket?: WebSocketClass;
  /** How long a stream may take to connect, milliseconds. Default 20,000. */
  readonly connectTimeoutMs?: number;
  /** What all streams may hold together where the WebSocket cannot be stopped, bytes. Default 256 MiB. */
  readonly maxReceivedBytes?: number;
  /** Told when the relay becomes reachable, or unreachable. */
  readonly onStatus?: (status: RelayStatus) => void;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 20_000;
const DEFAULT_MAX_RECEIVED_BYTES = 256 * 1024 * 1024;

/**
 * Makes a host network on a wsproxy or websockify relay.
 * @throws SlirpError `invalidConfiguration` for a bad URL, `missingRequirement` without a WebSocket class.
 */
export function createWsproxyHostNetwork(options: WsproxyHostNetworkOptions): WsproxyHostNetwork {
  return new WsproxyHostNetwork(options);
}

/** See the top of the file. */
export class WsproxyHostNetwork extends PageHostNetwork {
  readonly name = "wsproxy";
  protected override readonly cannotListenReason =
    "a wsproxy relay opens no ports: only a Wisp relay that listens can";
  readonly #urlOf: (remote: IpEndpoint) => string;
  readonly #parts: WsproxyStreamParts;
  readonly #onStatus: ((status: RelayStatus) => void) | undefined;
  #problem: string | undefined;
  #isReached = false;

  constructor(options: WsproxyHostNetworkOptions) {
    super();
    this.#urlOf = targetUrl(options.url, options.fixedTarget ?? false);
    this.#onStatus = options.onStatus;
    this.#parts = {
      loop: this.loop,
      open: this.open,
      budget: new ReceiveBudget(
        options.maxReceivedBytes ?? DEFAULT_MAX_RECEIVED_BYTES,
        () => undefined,
      ),
      webSocket: webSocketClass(options.webSocket),
      protocols: options.protocols ?? [],
      connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      onRelay: (url, problem) => {
        this.#tell(url, problem);
      },
    };
  }

  connectStream(remote: HostEndpoint): HostStream | number {
    if (this.isClosing) return -Errno.ENETDOWN;
    if (remote.family === "unix") return -Errno.EAFNOSUPPORT;
    const stream = new WsproxyStream(this.#parts, remote, this.#urlOf(remote));
    const problem = stream.connect();
    return problem < 0 ? problem : stream;
  }

  #tell(url: string, problem: string | undefined): void {
    const isReached = problem === undefined;
    if (isReached === this.#isReached && problem === this.#problem) return;
    this.#isReached = isReached;
    this.#problem = problem;
    this.#onStatus?.({ state: isReached ? "open" : "waiting", url, message: problem ?? "" });
  }
}

/**
 * The URL for a target, by a template that is checked now.
 * @throws SlirpError `invalidConfiguration`.
 */
function targetUrl(template: string, isFixed: boolean): (remote: IpEndpoint) => string {
  if (isFixed) {
    const { href } = relayUrl(template);
    return () => href;
  }
  const fill = (remote: IpEndpoint): string => {
    const host = remote.family === 6 ? `[${remote.address}]` : remote.address;
    const port = String(remote.port);
    if (/\{(host|port)\}/.test(template)) {
      return relayUrl(template.replaceAll("{host}", host).replaceAll("{port}", port)).href;
    }
    const url = relayUrl(template);
    url.pathname = `${url.pathname.replace(/\/$/, "")}/${host}:${port}`;
    return url.href;
  };
  fill(ipEndpoint("192.0.2.1", 1));
  return fill;
}
