/**
 * The virtual name server: which real resolver stands behind it at the moment.
 *
 * libslirp knows one resolver an IP version, port 53, read from a file. Here it is given an address that stands for "the
 * resolver" (wasm/stack.h), and only when the guest sends something there the host network is asked which one that is. So a
 * changed resolv.conf is noticed, a guest that speaks IPv4 can use a resolver that has only IPv6, and a resolver may have
 * another port.
 */
import { ipAddress, ipEndpoint, type HostEndpoint, type IpEndpoint } from "../address.js";
import type { HostNetwork } from "../host-network.js";

const DNS_PORT = 53;

/** What the module uses for "the resolver": NAME_SERVER_ADDRESS and NAME_SERVER_ADDRESS6 of wasm/stack.h. */
export const resolverPlaceholder4: IpEndpoint = ipEndpoint(ipAddress("0.0.0.53"), DNS_PORT);
export const resolverPlaceholder6: IpEndpoint = ipEndpoint(ipAddress("100::53"), DNS_PORT);

/** True for the endpoint that stands for the resolver. */
export function isResolverPlaceholder(endpoint: HostEndpoint): boolean {
  return (
    endpoint.family !== "unix" &&
    endpoint.address ===
      (endpoint.family === 4 ? resolverPlaceholder4 : resolverPlaceholder6).address
  );
}

/**
 * The resolver for a guest's try number `attempt` (0, 1, …): a guest that asks again because no answer came gets the next one.
 * Undefined where the host has none.
 */
export function resolverFor(network: HostNetwork, attempt: number): IpEndpoint | undefined {
  const servers = network.dnsServers();
  return servers[attempt % Math.max(servers.length, 1)];
}
