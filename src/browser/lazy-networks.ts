/**
 * The host networks and layers that not every page needs: each is loaded when it is asked for, so that pages on Wisp relays do not pay
 * for what they do not use.
 */
import type { HostNetwork } from "../host-network.js";
import type { FetchHostNetworkOptions } from "./fetch-host-network.js";
import type { NameOptions } from "./named-host-network.js";
import type { RoutedHostNetworkOptions } from "./routed-host-network.js";
import type { TimeOptions } from "./timed-host-network.js";
import type { WsproxyHostNetworkOptions } from "./wsproxy-host-network.js";

/**
 * Makes a host network on a wsproxy or websockify relay: a WebSocket for each TCP connection. There is no UDP: names are looked up by
 * {@link withNames}, by DNS over HTTPS or over TCP.
 * @throws SlirpError `invalidConfiguration` for a bad URL, `missingRequirement` without a WebSocket class.
 */
export async function createWsproxyHostNetwork(
  options: WsproxyHostNetworkOptions,
): Promise<HostNetwork> {
  const parts = await import("./wsproxy-host-network.js");
  return parts.createWsproxyHostNetwork(options);
}

/**
 * Makes a host network without a relay: the guest's HTTP becomes the page's `fetch`, every name has an address, the time is the page's, and
 * everything else is refused at once.
 * @throws SlirpError `invalidConfiguration` for a proxy, pool or name that cannot be.
 */
export async function createFetchHostNetwork(
  options: FetchHostNetworkOptions = {},
): Promise<HostNetwork> {
  const parts = await import("./fetch-host-network.js");
  return parts.createFetchHostNetwork(options);
}

/**
 * Makes one host network of several, by rules of protocol, address and port; the first that matches decides. Closing it closes them all.
 * @throws SlirpError `invalidConfiguration` for a rule that cannot be read, or where there is no network at all.
 */
export async function createRoutedHostNetwork(
  options: RoutedHostNetworkOptions,
): Promise<HostNetwork> {
  const parts = await import("./routed-host-network.js");
  return parts.createRoutedHostNetwork(options);
}

/**
 * Puts names before a host network, which is closed with the layer: listed ones, DNS over HTTPS, DNS over TCP, and a log of all.
 * @throws SlirpError `invalidConfiguration` naming the entry or URL that cannot be.
 */
export async function withNames(network: HostNetwork, options: NameOptions): Promise<HostNetwork> {
  const parts = await import("./named-host-network.js");
  return parts.withNames(network, options);
}

/**
 * Puts a clock before a host network, which is closed with the layer: NTP is answered from the page's own.
 * @throws SlirpError `invalidConfiguration` for a server that is no IP address.
 */
export async function withTime(network: HostNetwork, options?: TimeOptions): Promise<HostNetwork> {
  const parts = await import("./timed-host-network.js");
  return parts.withTime(network, options);
}
