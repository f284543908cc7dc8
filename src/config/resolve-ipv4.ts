/**
 * The IPv4 side of the guest's network: QEMU's defaults, and what libslirp would take without a word and then not work
 * with. All the reckoning is on addresses as numbers.
 */
import type { IpAddress } from "../address.js";
import type { Ipv4Options } from "../slirp-options.js";
import { fromNumber, hostMask, networkOf, toNumber } from "./ipv4-number.js";
import { checkInteger, refusal } from "./refuse.js";

/** 10.0.2.0. */
const DEFAULT_NETWORK = 0x0a000200;
const DEFAULT_PREFIX_LENGTH = 24;
/** Host numbers of gateway, name server and first DHCP address; as many of their bits are taken as the network has. */
const HOST_NUMBERS = { gateway: 0x0202, nameServer: 0x0203, dhcpStart: 0x020f };

/** First and last address of what a network of guests cannot be in, and what it is (RFC 6890, RFC 5771). */
const RESERVED: readonly (readonly [number, number, string])[] = [
  [0x00000000, 0x00ffffff, '"this network" (0.0.0.0/8)'],
  [0x7f000000, 0x7fffffff, "loopback (127.0.0.0/8)"],
  [0xe0000000, 0xffffffff, "multicast and reserved (224.0.0.0/3)"],
];

interface Network {
  readonly first: number;
  readonly last: number;
  readonly prefixLength: number;
  /** As people write it. */
  readonly text: string;
}

/** Fills the defaults in and throws a SlirpError for what cannot be. */
export function resolveIpv4(options: Partial<Ipv4Options>, restricted: boolean): Ipv4Options {
  const network = resolveNetwork(options);
  const pick = (key: keyof typeof HOST_NUMBERS) =>
    options[key] ? toNumber(checkFamily(key, options[key])) : defaultAddress(network, key);

  const gateway = pick("gateway");
  checkHostAddress("ipv4.gateway", gateway, network);
  const nameServer = pick("nameServer");
  checkNameServer(nameServer, gateway, network, restricted);
  const dhcpStart = options.dhcpStart
    ? pick("dhcpStart")
    : freeAddress(network, pick("dhcpStart"), gateway, nameServer);
  checkHostAddress("ipv4.dhcpStart", dhcpStart, network);
  refuseEqual("ipv4.dhcpStart", dhcpStart, "the gateway", gateway);
  refuseEqual("ipv4.dhcpStart", dhcpStart, "the name server", nameServer);

  return {
    network: fromNumber(network.first),
    prefixLength: network.prefixLength,
    gateway: fromNumber(gateway),
    nameServer: fromNumber(nameServer),
    dhcpStart: fromNumber(dhcpStart),
  };
}

function resolveNetwork(options: Partial<Ipv4Options>): Network {
  const place = "ipv4.network";
  const address = options.network
    ? toNumber(checkFamily("network", options.network))
    : DEFAULT_NETWORK;
  const prefixLength = options.prefixLength ?? DEFAULT_PREFIX_LENGTH;
  // 31 and 32 leave no address but the gateway's; below 4 the network would hide the internet behind itself.
  checkInteger("ipv4.prefixLength", prefixLength, 4, 30);
  const first = networkOf(address, prefixLength);
  const text = `${fromNumber(first).address}/${String(prefixLength)}`;
  if (first !== address) {
    const written = `${fromNumber(address).address}/${String(prefixLength)}`;
    throw refusal(place, `${written} has bits set beyond its prefix`, `choose ${text}`);
  }
  const last = (first | hostMask(prefixLength)) >>> 0;
  const reserved = RESERVED.find(([from, to]) => first <= to && from <= last);
  if (reserved) {
    throw refusal(
      place,
      `${text} lies in ${reserved[2]}`,
      "choose a private one, such as 10.0.2.0/24",
    );
  }
  return { first, last, prefixLength, text };
}

function defaultAddress(network: Network, key: keyof typeof HOST_NUMBERS): number {
  return (network.first | (HOST_NUMBERS[key] & hostMask(network.prefixLength))) >>> 0;
}

/**
 * QEMU's DHCP start, where it is free. In small networks it is not (the 15 of a /28 is the broadcast address): then the first
 * free address behind gateway and name server, else the first free one.
 */
function freeAddress(
  network: Network,
  preferred: number,
  gateway: number,
  nameServer: number,
): number {
  const isFree = (address: number) =>
    address > network.first &&
    address < network.last &&
    address !== gateway &&
    address !== nameServer;
  if (isFree(preferred) || network.prefixLength < 28) return preferred;
  const inside = [gateway, nameServer].filter((address) => address <= network.last);
  const behind = Math.max(network.first, ...inside) + 1;
  if (isFree(behind)) return behind;
  for (let address = network.first + 1; address < network.last; address++) {
    if (isFree(address)) return address;
  }
  const problem = `${network.text} has no address left for a guest`;
  throw refusal("ipv4.prefixLength", problem, "choose 29 or less");
}

function checkNameServer(
  address: number,
  gateway: number,
  network: Network,
  restricted: boolean,
): void {
  const place = "ipv4.nameServer";
  refuseEqual(place, address, "the gateway", gateway);
  const isInside = address >= network.first && address <= network.last;
  if (isInside || restricted) {
    // Outside, the guest would reach it by the gateway: not in a restricted network, where nothing goes that way.
    checkHostAddress(place, address, network);
    return;
  }
  const reserved = RESERVED.find(([from, to]) => from <= address && address <= to);
  if (reserved) {
    const problem = `${fromNumber(address).address} lies in ${reserved[2]}`;
    throw refusal(place, problem, "choose an address that the guest can send to");
  }
}

function checkHostAddress(place: string, address: number, network: Network): void {
  const found = fromNumber(address).address;
  const first = fromNumber(network.first + 1).address;
  const remedy = `choose one from ${first} to ${fromNumber(network.last - 1).address}`;
  if (address < network.first || address > network.last) {
    throw refusal(place, `${found} is outside the network ${network.text}`, remedy);
  }
  if (address === network.first || address === network.last) {
    const what = address === network.first ? "network" : "broadcast";
    throw refusal(place, `${found} is the ${what} address of ${network.text}`, remedy);
  }
}

function refuseEqual(place: string, address: number, other: string, otherAddress: number): void {
  if (address !== otherAddress) return;
  const problem = `${fromNumber(address).address} is ${other}'s address, too`;
  throw refusal(place, problem, "choose different addresses");
}

function checkFamily(key: keyof Ipv4Options, address: IpAddress): IpAddress {
  if (address.family === 4) return address;
  throw refusal(`ipv4.${key}`, "it is not an IPv4 address", "choose one, such as 10.0.2.9");
}
