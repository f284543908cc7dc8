/**
 * ROUTES between host networks: each connection and each datagram goes to the network that the first matching rule names.
 *
 *     createRoutedHostNetwork({
 *       rules: [{ to: "tcp:80", network: fetching }, { to: "10.0.0.0/8", network: "refuse" }],
 *       default: relayed,
 *     })
 *
 * The stack sees one network: its clock and timers are the default network's, its name servers those of the network named for them, and
 * what goes to these servers goes through that network whatever the rules say. Ports are opened by the default network, too.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import {
  Errno,
  type HostDatagram,
  type HostNetwork,
  type HostStream,
  type StreamOptions,
} from "../host-network.js";
import { isSameEndpoint } from "./answering-datagram.js";
import { HostNetworkLayer } from "./host-network-layer.js";
import { matches, parseRoute, type RouteMatcher, type RouteProtocol } from "./route-rule.js";
import { RoutedDatagram } from "./routed-datagram.js";

/** Where something goes. `refuse`: connections are refused, datagrams unreachable. */
export type RouteTarget = HostNetwork | "refuse";

/** A rule, or several with one target. */
export interface RouteRule {
  /** What it applies to: `[tcp:|udp:][ADDRESS[/PREFIX]][:PORTS]`, such as `udp`, `tcp:443`, `10.0.0.0/8`, `:80,8000-8999`, `[fd00::/8]:53`. */
  readonly to: string | readonly string[];
  /** Where to: a host network, or `refuse` to refuse as a port does where nothing listens. */
  readonly network: RouteTarget;
}

/** How routes are made. */
export interface RoutedHostNetworkOptions {
  /** The first that matches decides. */
  readonly rules: readonly RouteRule[];
  /** Where goes what no rule is for. Ports are opened there. */
  readonly default: RouteTarget;
  /** Whose name servers are used. Default: the default network's, or the first rule's that names a network. */
  readonly dns?: HostNetwork;
}

interface Route {
  readonly matcher: RouteMatcher;
  readonly network: RouteTarget;
}

/**
 * Makes routes. Closing them closes every network that they lead to.
 * @throws SlirpError `invalidConfiguration` for a rule that cannot be read, or where there is no network at all.
 */
export function createRoutedHostNetwork(options: RoutedHostNetworkOptions): HostNetwork {
  const networks = new Set(
    [options.default, ...options.rules.map(({ network }) => network), options.dns].filter(
      (network): network is HostNetwork => network !== undefined && network !== "refuse",
    ),
  );
  const [main] = networks;
  if (!main) {
    const text = "routes: at least one rule, or the default, must name a host network";
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  return new RoutedHostNetwork(main, networks, options);
}

class RoutedHostNetwork extends HostNetworkLayer {
  readonly #networks: ReadonlySet<HostNetwork>;
  readonly #routes: readonly Route[];
  readonly #default: RouteTarget;
  readonly #dns: HostNetwork;
  #closed = false;

  constructor(
    main: HostNetwork,
    networks: ReadonlySet<HostNetwork>,
    options: RoutedHostNetworkOptions,
  ) {
    super(main);
    this.#networks = networks;
    this.#default = options.default;
    this.#dns = options.dns ?? main;
    this.#routes = options.rules.flatMap(({ to, network }) =>
      (typeof to === "string" ? [to] : to).map((text) => ({ matcher: parseRoute(text), network })),
    );
  }

  override get name(): string {
    return "routed";
  }

  override connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    if (this.#closed) return -Errno.ENETDOWN;
    const target = remote.family === "unix" ? this.inner : this.#targetFor("tcp", remote);
    return target === "refuse" ? -Errno.ECONNREFUSED : target.connectStream(remote, options);
  }

  override openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    if (this.#closed) return -Errno.ENETDOWN;
    return new RoutedDatagram({
      networkFor: (remote) => {
        const target = this.#targetFor("udp", remote);
        return target === "refuse" ? undefined : target;
      },
      open: (network) => network.openDatagram(family, options),
    });
  }

  override dnsServers(): readonly IpEndpoint[] {
    return this.#dns.dnsServers();
  }

  override ref(): void {
    for (const network of this.#networks) network.ref();
  }

  override unref(): void {
    for (const network of this.#networks) network.unref();
  }

  override async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#networks].map((network) => network.close()));
  }

  #targetFor(protocol: RouteProtocol, remote: IpEndpoint): RouteTarget {
    if (this.#dns.dnsServers().some((server) => isSameEndpoint(server, remote))) return this.#dns;
    return (
      this.#routes.find(({ matcher }) => matches(matcher, protocol, remote))?.network ??
      this.#default
    );
  }
}
