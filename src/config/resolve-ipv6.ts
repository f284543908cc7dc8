/**
 * The IPv6 side of the guest's network: QEMU's defaults, and what cannot be.
 *
 * The prefix has 64 bits and nothing else. libslirp takes any length, but it advertises the prefix for autoconfiguration,
 * which a guest does only with 64 (RFC 4862, 5.5.3), and its DHCPv6 server gives out no addresses: under another length no
 * guest would ever get one.
 */
import { ipAddress, ipAddressFromBytes, type IpAddress } from "../address.js";
import type { Ipv6Options } from "../slirp-options.js";
import { refusal } from "./refuse.js";

const PREFIX_BYTES = 8;

/** Fills the defaults in and throws a SlirpError for what cannot be. */
export function resolveIpv6(options: Partial<Ipv6Options>, restricted: boolean): Ipv6Options {
  const prefixLength = options.prefixLength ?? 64;
  if (prefixLength !== 64) {
    const problem = `it is ${String(prefixLength)}, and a guest configures itself only by a prefix of 64`;
    throw refusal("ipv6.prefixLength", problem, "choose 64");
  }
  const prefix = checkPrefix(options.prefix ?? ipAddress("fec0::"));
  const gateway = options.gateway ?? withHostNumber(prefix, 2);
  const nameServer = options.nameServer ?? withHostNumber(prefix, 3);
  checkAddress("ipv6.gateway", gateway, prefix);
  checkFamily("ipv6.nameServer", nameServer);
  if (nameServer.address === gateway.address) {
    const problem = `${nameServer.address} is the gateway's address, too`;
    throw refusal("ipv6.nameServer", problem, "choose different addresses");
  }
  // Outside, the guest would reach it by the gateway: not in a restricted network, where nothing goes that way.
  if (restricted || isInside(nameServer, prefix)) {
    checkAddress("ipv6.nameServer", nameServer, prefix);
  }
  return { prefix, prefixLength, gateway, nameServer };
}

function checkPrefix(prefix: IpAddress): IpAddress {
  const place = "ipv6.prefix";
  checkFamily(place, prefix);
  const remedy = "choose a private one, such as fd00::";
  const [first = 0, second = 0] = prefix.bytes;
  if (prefix.bytes.slice(0, PREFIX_BYTES).every((byte) => byte === 0)) {
    throw refusal(place, `${prefix.address} holds the loopback address`, remedy);
  }
  if (first === 0xff) throw refusal(place, `${prefix.address} is multicast`, remedy);
  if (first === 0xfe && second >> 6 === 2) {
    throw refusal(place, `${prefix.address} is link-local, which every guest has besides`, remedy);
  }
  const network = withHostNumber(prefix, 0);
  if (network.address !== prefix.address) {
    const problem = `${prefix.address} has bits set beyond its 64`;
    throw refusal(place, problem, `choose ${network.address}`);
  }
  return prefix;
}

function checkAddress(place: string, address: IpAddress, prefix: IpAddress): void {
  checkFamily(place, address);
  const remedy = `choose one such as ${withHostNumber(prefix, 9).address}`;
  if (!isInside(address, prefix)) {
    throw refusal(place, `${address.address} is outside the prefix ${prefix.address}/64`, remedy);
  }
  if (address.address === prefix.address) {
    // RFC 4291, 2.6.1.
    throw refusal(place, `${address.address} is the address of all routers of the prefix`, remedy);
  }
}

function isInside(address: IpAddress, prefix: IpAddress): boolean {
  return prefix.bytes.slice(0, PREFIX_BYTES).every((byte, index) => byte === address.bytes[index]);
}

/** The address of the prefix with this host number. */
function withHostNumber(prefix: IpAddress, hostNumber: number): IpAddress {
  const bytes = new Uint8Array(16);
  bytes.set(prefix.bytes.slice(0, PREFIX_BYTES));
  bytes[15] = hostNumber;
  return ipAddressFromBytes(bytes);
}

function checkFamily(place: string, address: IpAddress): void {
  if (address.family === 6) return;
  throw refusal(place, "it is not an IPv6 address", "choose one, such as fec0::9");
}
