/**
 * HOST NETWORK without a relay: all that a page can do by itself. Connections to port 80 are HTTP, and become `fetch`
 * (`fetch-gateway.ts`); every name has an address, of a private range unless DNS over HTTPS is asked, for the name is in the request; the
 * time is the page's. Everything else is refused at once, with a hint for who looks after the page: TLS on port 443 cannot be, for the page
 * has no part in its keys.
 */
import { formatEndpoint, type HostEndpoint, type IpEndpoint } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { Errno, type HostNetwork, type HostStream } from "../host-network.js";
import { isSecurePage } from "./fetch-failure.js";
import { FetchGateway, type HttpRequestReport } from "./fetch-gateway.js";
import { fetchedUrl } from "./fetch-target.js";
import { NamePool } from "./name-pool.js";
import { withNames, type NameOptions } from "./named-host-network.js";
import { PageHostNetwork } from "./page-host-network.js";
import { PageStream } from "./page-stream.js";
import { withTime } from "./timed-host-network.js";

/** A connection that a page cannot make. */
export interface RefusedConnection {
  /** Where the guest wanted to go. */
  readonly remote: IpEndpoint;
  /** The name that its address was given out for, where there is one. */
  readonly name: string | undefined;
  /** Why, and what would help. */
  readonly hint: string;
}

/** How a host network on `fetch` is made. */
export interface FetchHostNetworkOptions {
  /**
   * A CORS proxy, through which servers can be read that do not allow it themselves: what stands before the URL
   * (`https://proxy.example/`), or a template with `{url}`, where it goes encoded (`https://proxy.example/?to={url}`). Default none.
   */
  readonly proxy?: string;
  /** `http://host` is fetched as `https://host`. Default: on pages loaded by https, which may not do otherwise, where there is no proxy. */
  readonly upgradeToHttps?: boolean;
  /** Ports whose connections are HTTP. Default 80. */
  readonly ports?: readonly number[];
  /** Longest body of a request, bytes. Default 64 MiB. */
  readonly maxRequestBytes?: number;
  /** Bodies of requests are streamed and not gathered first: works in Node, and in Chromium to servers with HTTP/2. Default false. */
  readonly streamRequests?: boolean;
  /** Range of IPv4 addresses that names get. Default 198.18.0.0/15, which is nobody's. */
  readonly pool?: string;
  /** Names: listed ones, DNS over HTTPS instead of the pool, a log. */
  readonly dns?: Omit<NameOptions, "tcp" | "sources" | "interceptAll">;
  /** Told of every request. */
  readonly onRequest?: (report: HttpRequestReport) => void;
  /** Told of every connection that is refused. */
  readonly onRefused?: (refused: RefusedConnection) => void;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

const HTTP_PORT = 80;
const TLS_PORT = 443;
const DEFAULT_MAX_REQUEST_BYTES = 64 * 1024 * 1024;

/**
 * Makes a host network on `fetch`.
 * @throws SlirpError `invalidConfiguration` for a proxy, pool or name that cannot be.
 */
export function createFetchHostNetwork(options: FetchHostNetworkOptions = {}): HostNetwork {
  const network = new FetchHostNetwork(options);
  const { doh } = options.dns ?? {};
  const sources = doh === undefined || doh.length === 0 ? [network.pool] : [];
  return withTime(withNames(network, { ...options.dns, sources, interceptAll: true }));
}

class FetchHostNetwork extends PageHostNetwork {
  readonly name = "fetch";
  readonly pool: NamePool;
  protected override readonly cannotListenReason =
    "a page opens no ports: only through a relay that listens can it be reached";
  readonly #gateway: FetchGateway;
  readonly #ports: ReadonlySet<number>;
  readonly #onRefused: ((refused: RefusedConnection) => void) | undefined;

  constructor(options: FetchHostNetworkOptions) {
    super();
    const { proxy, upgradeToHttps = proxy === undefined && isSecurePage() } = options;
    checkProxy(proxy);
    this.pool = new NamePool(options.pool);
    this.#ports = new Set(options.ports ?? [HTTP_PORT]);
    this.#onRefused = options.onRefused;
    this.#gateway = new FetchGateway({
      // A browser's own wants to be called on the global object.
      fetch: options.fetch ?? ((...request) => fetch(...request)),
      proxy,
      upgradeToHttps,
      maxRequestBytes: options.maxRequestBytes ?? DEFAULT_MAX_REQUEST_BYTES,
      streamRequests: options.streamRequests ?? false,
      onRequest: options.onRequest,
    });
  }

  connectStream(remote: HostEndpoint): HostStream | number {
    if (this.isClosing) return -Errno.ENETDOWN;
    if (remote.family === "unix") return -Errno.EAFNOSUPPORT;
    const name = this.pool.nameOf(remote.address);
    if (!this.#ports.has(remote.port)) {
      this.#refuse(remote, name);
      return -Errno.ECONNREFUSED;
    }
    const parts = { pool: this.loop.pool, open: this.open };
    return new PageStream(parts, remote, (peer) => this.#gateway.serve(peer, { remote, name }));
  }

  #refuse(remote: IpEndpoint, name: string | undefined): void {
    const onRefused = this.#onRefused;
    if (!onRefused) return;
    const where = name === undefined ? formatEndpoint(remote) : `${name}:${remote.port}`;
    const hint =
      remote.port === TLS_PORT
        ? `${where} is TLS, which a page cannot speak for the guest: use http://${name ?? "…"}/ in the guest (the page itself may ask by https), or a relay`
        : `${where} is not HTTP on port ${[...this.#ports].join(", ")}, which is all that a page can reach without a relay`;
    queueMicrotask(() => {
      onRefused({ remote, name, hint });
    });
  }
}

function checkProxy(proxy: string | undefined): void {
  if (proxy === undefined) return;
  try {
    const target = new URL("http://host.test/");
    const { protocol } = fetchedUrl(target, { proxy, upgradeToHttps: false });
    if (protocol === "https:" || protocol === "http:") return;
  } catch {
    // Said below.
  }
  const problem =
    "it must be a URL to put before another, such as https://proxy.example/, or have {url} in it";
  throw new SlirpError(ErrorCode.invalidConfiguration, `proxy "${proxy}": ${problem}`);
}
