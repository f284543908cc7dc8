/**
 * HOST NETWORK on Wisp relays: the stack's sockets are streams in a WebSocket.
 *
 * This file puts the parts together. What goes on with relays is in `wisp-relays.ts`, one WebSocket in `wisp-connection.ts`, sockets in
 * `wisp-stream.ts` and `wisp-datagram.ts`; each says what Wisp cannot do. There is no ICMP and no unix socket.
 */
import {
  formatEndpoint,
  ipEndpoint,
  type HostEndpoint,
  type IpEndpoint,
  type IpFamily,
} from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { Errno, type HostDatagram, type HostListener, type HostStream } from "../host-network.js";
import { PageHostNetwork } from "./page-host-network.js";
import { ReceiveBudget } from "./receive-budget.js";
import { relayUrl, webSocketClass, type WebSocketClass } from "./web-socket.js";
import { WispBoundDatagram } from "./wisp-bound-datagram.js";
import { WispDatagram } from "./wisp-datagram.js";
import { WispListener } from "./wisp-listener.js";
import { WispRelays, type RelayStatus, type WispRelay } from "./wisp-relays.js";
import { WispStream, type WispStreamParts } from "./wisp-stream.js";

/** How a host network on Wisp relays is made. */
export interface WispHostNetworkOptions {
  /**
   * Relays, best first: URLs such as `wss://relay.example.org/`, or with credentials. The path of a Wisp relay ends in a slash, which is
   * put there where it is missing.
   */
  readonly relays: readonly (string | WispRelay)[];
  /** The WebSocket class. Default: the global one, which Node 20 has not. */
  readonly webSocket?: WebSocketClass;
  /** Resolvers that the guest's questions go to, through the relay by UDP. Default 1.1.1.1 and 9.9.9.9. */
  readonly dnsServers?: readonly (string | IpEndpoint)[];
  /** How long a stream may take to connect, waiting for a relay included, milliseconds. Default 20,000. */
  readonly connectTimeoutMs?: number;
  /** What all streams may hold together where the relay knows no flow control, bytes. Default 256 MiB. */
  readonly maxReceivedBytes?: number;
  /** Told what becomes of relays. */
  readonly onStatus?: (status: RelayStatus) => void;
}

const DEFAULT_DNS_SERVERS = ["1.1.1.1", "9.9.9.9"];
const DEFAULT_CONNECT_TIMEOUT_MS = 20_000;
const DEFAULT_MAX_RECEIVED_BYTES = 256 * 1024 * 1024;
const DNS_PORT = 53;

/**
 * Makes a host network on Wisp relays. A relay is connected to when the first stream wants it.
 * @throws SlirpError `invalidConfiguration` for a bad URL or address, `missingRequirement` without a WebSocket class.
 */
export function createWispHostNetwork(options: WispHostNetworkOptions): WispHostNetwork {
  return new WispHostNetwork(options);
}

/** A host network on Wisp relays, of which one is in use at a time; see {@link createWispHostNetwork}. */
export class WispHostNetwork extends PageHostNetwork {
  readonly name = "wisp";
  readonly #relays: WispRelays;
  readonly #budget: ReceiveBudget;
  readonly #dnsServers: readonly IpEndpoint[];
  readonly #connectTimeoutMs: number;

  constructor(options: WispHostNetworkOptions) {
    super();
    if (options.relays.length === 0) {
      throw new SlirpError(ErrorCode.invalidConfiguration, "relays: at least one must be named");
    }
    this.#dnsServers = (options.dnsServers ?? DEFAULT_DNS_SERVERS).map((server) =>
      typeof server === "string" ? ipEndpoint(server, DNS_PORT) : server,
    );
    this.#connectTimeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
    this.#relays = new WispRelays({
      relays: options.relays.map(readRelay),
      webSocket: webSocketClass(options.webSocket),
      onStatus: options.onStatus,
    });
    this.#budget = new ReceiveBudget(
      options.maxReceivedBytes ?? DEFAULT_MAX_RECEIVED_BYTES,
      () => this.#relays.connection,
    );
  }

  connectStream(remote: HostEndpoint): HostStream | number {
    if (this.isClosing) return -Errno.ENETDOWN;
    if (remote.family === "unix") return -Errno.EAFNOSUPPORT;
    const stream = new WispStream(this.#parts, remote);
    stream.connect();
    return stream;
  }

  /** By a relay that opens ports: its option `forwards`. The port is opened again when the relay was lost. */
  override async listenStream(
    local: HostEndpoint,
    { ipv6Only = false }: { ipv6Only?: boolean } = {},
  ): Promise<HostListener> {
    const listener = new WispListener(this.#parts, this.#checkLocal(local), ipv6Only);
    await listener.open();
    return listener;
  }

  override openDatagram(family: IpFamily): HostDatagram | number {
    if (this.isClosing) return -Errno.ENETDOWN;
    return new WispDatagram({ relays: this.#relays, open: this.open }, family);
  }

  override async bindDatagram(
    local: IpEndpoint,
    { ipv6Only = false }: { ipv6Only?: boolean } = {},
  ): Promise<HostDatagram> {
    const datagram = new WispBoundDatagram(this.#parts, this.#checkLocal(local), ipv6Only);
    await datagram.open();
    return datagram;
  }

  override dnsServers(): readonly IpEndpoint[] {
    return this.#dnsServers;
  }

  protected override release(): void {
    this.#relays.close();
  }

  /** What listeners and streams have in common. */
  get #parts(): WispStreamParts {
    return {
      loop: this.loop,
      relays: this.#relays,
      budget: this.#budget,
      connectTimeoutMs: this.#connectTimeoutMs,
      open: this.open,
    };
  }

  #checkLocal(local: HostEndpoint): IpEndpoint {
    if (this.isClosing) throw this.cannotListen();
    if (local.family !== "unix") return local;
    const text = `${formatEndpoint(local)}: a relay has no files that a page could listen at`;
    throw Object.assign(new Error(text), { code: "EAFNOSUPPORT" });
  }
}

function readRelay(relay: string | WispRelay): WispRelay {
  const given = typeof relay === "string" ? { url: relay } : relay;
  const url = relayUrl(given.url);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { ...given, url: url.href };
}
