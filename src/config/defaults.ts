/**
 * From what was said to what holds: every default filled in, every contradiction refused.
 *
 * Defaults are QEMU's and bhyve's (see `SlirpOptions`). libslirp itself checks almost nothing: it takes a DHCP start outside
 * the network or a gateway that is the name server as well, and the guest then has a network that half works. So whatever
 * can be known to fail is refused here, once for all sources of options, with the option's name and the reason.
 */
import type { IpAddress } from "../address.js";
import type { ResolvedSlirpOptions, SlirpOptions } from "../slirp-options.js";
import { checkDhcpTexts } from "./check-dhcp-texts.js";
import { checkGuestForwards, checkHostForwards } from "./check-forwards.js";
import { checkInteger, checkText, refusal } from "./refuse.js";
import { resolveIpv4 } from "./resolve-ipv4.js";
import { resolveIpv6 } from "./resolve-ipv6.js";

/** `IF_MTU_MIN` and `IF_MTU_MAX` of libslirp's if.h. */
const MIN_PACKET_BYTES = 68;
const MAX_PACKET_BYTES = 65521;
const DEFAULT_PACKET_BYTES = 1500;
/** What every link must carry that has IPv6 on it (RFC 8200, 5). */
const MIN_IPV6_MTU_BYTES = 1280;

/**
 * Fills in the defaults. The answer is a new object; it shares addresses and forwards with the options.
 * @throws SlirpError `invalidConfiguration`, which names the option, what was found and what would be right
 */
export function resolveSlirpOptions(options: SlirpOptions = {}): ResolvedSlirpOptions {
  if (options.ipv4 === false && options.ipv6 === false) {
    throw refusal("ipv4, ipv6", "both are off, which leaves no network", "switch one on");
  }
  const restricted = options.restricted ?? false;
  const networks = {
    ipv4: options.ipv4 === false ? undefined : resolveIpv4(options.ipv4 ?? {}, restricted),
    ipv6: options.ipv6 === false ? undefined : resolveIpv6(options.ipv6 ?? {}, restricted),
  };
  const { hostForwards = [], guestForwards = [] } = options;
  checkHostForwards(hostForwards, networks);
  checkGuestForwards(guestForwards, networks);
  checkDhcpTexts(options);
  if (options.tftpRoot !== undefined) checkText("tftpRoot", options.tftpRoot);
  return {
    ...networks,
    ...resolvePacketSizes(options),
    ...resolveNcsi(options),
    restricted,
    disableHostLoopback: options.disableHostLoopback ?? false,
    disableDns: options.disableDns ?? false,
    disableDhcp: options.disableDhcp ?? false,
    enableEmu: options.enableEmu ?? false,
    hostname: options.hostname,
    domainName: options.domainName,
    dnsSearch: [...(options.dnsSearch ?? [])],
    tftpRoot: options.tftpRoot,
    tftpServerName: options.tftpServerName,
    bootFile: options.bootFile,
    outboundAddress: checkOutbound("outboundAddress", options.outboundAddress, 4, networks.ipv4),
    outboundAddress6: checkOutbound("outboundAddress6", options.outboundAddress6, 6, networks.ipv6),
    hostForwards: [...hostForwards],
    guestForwards: [...guestForwards],
  };
}

function resolvePacketSizes(options: SlirpOptions) {
  const mtuBytes = options.mtuBytes ?? DEFAULT_PACKET_BYTES;
  const mruBytes = options.mruBytes ?? Math.max(mtuBytes, DEFAULT_PACKET_BYTES);
  checkInteger("mtuBytes", mtuBytes, MIN_PACKET_BYTES, MAX_PACKET_BYTES);
  checkInteger("mruBytes", mruBytes, MIN_PACKET_BYTES, MAX_PACKET_BYTES);
  if (options.ipv6 !== false && mtuBytes < MIN_IPV6_MTU_BYTES) {
    const problem = `${String(mtuBytes)} is too little for IPv6, which is on`;
    throw refusal(
      "mtuBytes",
      problem,
      `choose ${String(MIN_IPV6_MTU_BYTES)} or more, or switch IPv6 off`,
    );
  }
  return { mtuBytes, mruBytes };
}

function resolveNcsi({ ncsiManufacturerId = 0, ncsiOutOfBandMac }: SlirpOptions) {
  checkInteger("ncsiManufacturerId", ncsiManufacturerId, 0, 0xffffffff);
  const mac = ncsiOutOfBandMac?.slice() ?? new Uint8Array(6);
  if (mac.length !== 6) {
    throw refusal("ncsiOutOfBandMac", `it has ${String(mac.length)} bytes`, "choose a MAC of 6");
  }
  return { ncsiManufacturerId, ncsiOutOfBandMac: mac };
}

function checkOutbound(
  place: "outboundAddress" | "outboundAddress6",
  address: IpAddress | undefined,
  family: 4 | 6,
  network: object | undefined,
): IpAddress | undefined {
  if (!address) return undefined;
  const version = `IPv${String(family)}`;
  if (address.family !== family) {
    const problem = `${address.address} is not an ${version} address`;
    throw refusal(place, problem, "choose one that the host has");
  }
  if (!network) {
    const problem = `${address.address} is there while ${version} is off`;
    throw refusal(place, problem, `leave it out or switch ${version} on`);
  }
  return address;
}
