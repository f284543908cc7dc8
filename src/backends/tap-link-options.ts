/** Checks what an interface is to be given before anything is done, so that a slip of the pen changes nothing. */
import { parseIpAddress, type IpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapLinkOptions } from "../tap-options.js";

/** An address with the length of its network's prefix. */
export interface NetworkAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/** `TapLinkOptions`, read. */
export interface LinkSettings {
  readonly mac: Uint8Array | undefined;
  readonly bridge: string | undefined;
  /** IPv4 first, as they are set. */
  readonly addresses: readonly NetworkAddress[];
  readonly gateways: readonly IpAddress[];
  readonly mtuBytes: number | undefined;
  readonly up: boolean | undefined;
}

/** Smallest MTU of IPv4 (RFC 791), and the largest of a TAP. */
const MTU = { min: 68, max: 65_521 } as const;
/** Smallest MTU with which the kernel does IPv6 (RFC 8200). */
const MIN_MTU_OF_IPV6 = 1280;

function refusal(option: string, problem: string, remedy: string): SlirpError {
  const text = `option ${option}: ${problem}; ${remedy}`;
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}

/** @throws SlirpError `invalidConfiguration` */
export function readLinkOptions(options: TapLinkOptions): LinkSettings {
  const addresses = (options.addresses ?? []).map(readNetworkAddress);
  const gateways = (options.gateways ?? []).map(readGateway);
  for (const family of [4, 6] as const) {
    if (gateways.filter((gateway) => gateway.family === family).length > 1) {
      throw refusal("gateways", `there are two of IPv${family}`, "leave one of them out");
    }
  }
  const settings: LinkSettings = {
    mac: options.mac === undefined ? undefined : readMacAddress(options.mac),
    bridge: options.bridge,
    addresses: byFamily(addresses, ({ address }) => address),
    gateways: byFamily(gateways, (gateway) => gateway),
    mtuBytes: options.mtuBytes,
    up: options.up ?? (needsUp(options) ? true : undefined),
  };
  checkMtu(settings);
  if (options.up === false && gateways.length > 0) {
    throw refusal("up", "it is false, and there are gateways", "leave one of them out");
  }
  return settings;
}

function needsUp({ addresses = [], gateways = [], bridge }: TapLinkOptions): boolean {
  return addresses.length > 0 || gateways.length > 0 || bridge !== undefined;
}

/** Whether there is nothing to be done. */
export function isEmptySettings(settings: LinkSettings): boolean {
  const { mac, bridge, addresses, gateways, mtuBytes, up } = settings;
  const single = [mac, bridge, mtuBytes, up];
  return single.every((value) => value === undefined) && addresses.length + gateways.length === 0;
}

function byFamily<T>(list: readonly T[], addressOf: (item: T) => IpAddress): T[] {
  return [...list].sort((a, b) => addressOf(a).family - addressOf(b).family);
}

function checkMtu({ mtuBytes, addresses }: LinkSettings): void {
  if (mtuBytes === undefined) return;
  const hasIpv6 = addresses.some(({ address }) => address.family === 6);
  const min = hasIpv6 ? MIN_MTU_OF_IPV6 : MTU.min;
  if (Number.isInteger(mtuBytes) && mtuBytes >= min && mtuBytes <= MTU.max) return;
  const why = hasIpv6 ? ` (IPv6 takes ${MIN_MTU_OF_IPV6})` : "";
  const remedy = `choose a whole number from ${min}${why} to ${MTU.max}`;
  throw refusal("mtuBytes", `it is ${String(mtuBytes)}`, remedy);
}

/** A MAC address of one interface, not of a group. */
function readMacAddress(text: string): Uint8Array {
  const remedy = 'write six bytes in hexadecimal, "52:54:00:12:34:56"';
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw refusal("mac", `it is ${JSON.stringify(text)}`, remedy);
  }
  const bytes = Uint8Array.from(text.split(":"), (byte) => parseInt(byte, 16));
  if (((bytes[0] ?? 0) & 1) !== 0) {
    throw refusal("mac", `${text} is a group's: the first byte is odd`, "make the first byte even");
  }
  if (bytes.every((byte) => byte === 0)) throw refusal("mac", "it is all zero", remedy);
  return bytes;
}

function readNetworkAddress(text: string): NetworkAddress {
  const remedy = 'write an address and the length of its prefix, "10.0.5.1/24" or "fd00::1/64"';
  const [addressText = "", prefixText = "", ...rest] = text.split("/");
  const address = parseIpAddress(addressText);
  const isNumber = /^(0|[1-9]\d{0,2})$/.test(prefixText);
  const prefixLength = isNumber ? Number(prefixText) : NaN;
  if (!address || rest.length > 0 || !(prefixLength <= (address.family === 4 ? 32 : 128))) {
    throw refusal("addresses", `it has ${JSON.stringify(text)}`, remedy);
  }
  return { address, prefixLength };
}

function readGateway(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address) return address;
  throw refusal(
    "gateways",
    `it has ${JSON.stringify(text)}`,
    'write an address, "10.0.5.2" or "fd00::2"',
  );
}
