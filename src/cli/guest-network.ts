/**
 * What a guest knows of its network, out of the agent's answers: the facts of its DHCP lease (RFC 2131, options of
 * RFC 2132 and 3397) and the addresses that it has made itself from router advertisements (RFC 4862).
 */

import type { AgentFact } from "./guest-agent.js";

/** An IPv6 address of the guest's NIC. */
export interface GuestIpv6Address {
  readonly address: string;
  readonly prefixLength: number;
}

/** The guest's network as the guest sees it. What no server told it is undefined, or an empty list. */
export interface GuestNetwork {
  readonly macAddress: string;
  /** IPv4 address of the lease. */
  readonly address: string | undefined;
  readonly prefixLength: number | undefined;
  readonly gateway: string | undefined;
  /** Resolvers, in the order of the lease. */
  readonly nameservers: readonly string[];
  readonly domain: string | undefined;
  readonly searchDomains: readonly string[];
  /** Host name that the server gave. */
  readonly hostname: string | undefined;
  readonly mtuBytes: number | undefined;
  readonly leaseSeconds: number | undefined;
  /** Who gave the lease (option 54). */
  readonly server: string | undefined;
  /** From whom to boot (siaddr). */
  readonly nextServer: string | undefined;
  /** Option 66. */
  readonly tftpServer: string | undefined;
  readonly bootFile: string | undefined;
  /** Addresses other than link-local ones. */
  readonly ipv6Addresses: readonly GuestIpv6Address[];
  /** Link-local address of the router. */
  readonly ipv6Gateway: string | undefined;
}

/**
 * Puts answers of the agent's verbs `net` and `addresses` together.
 *
 * @param facts lines of both answers
 */
export function readGuestNetwork(facts: readonly AgentFact[]): GuestNetwork {
  const text = (key: string) => facts.find((fact) => fact.key === key)?.value;
  const words = (key: string) => text(key)?.split(" ") ?? [];
  const integer = (key: string) => {
    const value = text(key);
    return value === undefined ? undefined : Number.parseInt(value, 10);
  };
  return {
    macAddress: text("mac") ?? "",
    address: text("address"),
    prefixLength: integer("prefixLength"),
    gateway: words("gateway")[0],
    nameservers: words("dns"),
    domain: text("domain"),
    searchDomains: words("search"),
    hostname: text("hostname"),
    mtuBytes: integer("mtu"),
    leaseSeconds: integer("leaseSeconds"),
    server: text("server"),
    nextServer: text("nextServer"),
    tftpServer: text("tftpServer"),
    bootFile: text("bootFile"),
    ipv6Addresses: facts.filter((fact) => fact.key === "inet6").map(readIpv6Address),
    ipv6Gateway: text("route6"),
  };
}

function readIpv6Address({ value }: AgentFact): GuestIpv6Address {
  const [address = "", prefixLength = "128"] = value.split("/");
  return { address, prefixLength: Number.parseInt(prefixLength, 10) };
}
