/**
 * Whether forwards fit the network that they are for. Whether the host's side can be bound is found out when it is.
 */
import { formatEndpoint, type IpAddress } from "../address.js";
import {
  formatGuestForward,
  formatHostForward,
  type GuestForward,
  type HostForward,
  type Ipv4Options,
  type Ipv6Options,
} from "../slirp-options.js";
import { hostMask, toNumber } from "./ipv4-number.js";
import { checkInteger, refusal } from "./refuse.js";

/** The resolved networks; undefined where the version is off. */
export interface Networks {
  readonly ipv4: Ipv4Options | undefined;
  readonly ipv6: Ipv6Options | undefined;
}

/** Throws a SlirpError for the first host forward that cannot work. */
export function checkHostForwards(forwards: readonly HostForward[], networks: Networks): void {
  const taken = new Set<string>();
  forwards.forEach((forward, index) => {
    const place = `hostForwards[${String(index)}]`;
    checkHostSide(place, forward);
    checkGuestSide(place, forward, networks);
    const { protocol, host } = forward;
    if (host.family !== "unix" && host.port === 0) return;
    const key = `${protocol} ${formatEndpoint(host)}`;
    if (taken.has(key)) {
      const problem = `${formatHostForward(forward)} is the second one at ${formatEndpoint(host)}`;
      throw refusal(place, problem, "choose another host port, or leave one of them out");
    }
    taken.add(key);
  });
}

function checkHostSide(place: string, { protocol, host }: HostForward): void {
  if (host.family !== "unix") {
    checkInteger(`${place}.host.port`, host.port, 0, 65535);
  } else if (protocol !== "tcp") {
    const problem = `a unix socket (${host.path}) is a stream, and cannot take ${protocol}`;
    throw refusal(`${place}.protocol`, problem, 'choose "tcp"');
  }
}

function checkGuestSide(place: string, forward: HostForward, { ipv4, ipv6 }: Networks): void {
  const { guestAddress, guestFamily, guestPort } = forward;
  checkInteger(`${place}.guestPort`, guestPort, 1, 65535);
  const rule = formatHostForward(forward);
  if (guestAddress && guestAddress.family !== guestFamily) {
    const problem = `${rule} has the family ${String(guestFamily)} for ${guestAddress.address}`;
    throw refusal(`${place}.guestFamily`, problem, `choose ${String(guestAddress.family)}`);
  }
  const network = guestFamily === 4 ? ipv4 : ipv6;
  if (!network) {
    const version = `IPv${String(guestFamily)}`;
    const other = guestFamily === 4 ? `IPv6 ("[]:${String(guestPort)}")` : "IPv4";
    const problem = `${rule} goes to the guest by ${version}, which is off`;
    throw refusal(place, problem, `switch ${version} on or forward by ${other}`);
  }
  const own = guestAddress && ownAddress(guestAddress, network);
  if (own !== undefined) {
    throw refusal(place, `${rule} goes to ${own}, not to a guest`, "choose a guest's address");
  }
  // No more than that: a guest may well answer for addresses outside the network, such as those of its containers.
}

function ownAddress(
  { address }: IpAddress,
  { gateway, nameServer }: { gateway: IpAddress; nameServer: IpAddress },
): string | undefined {
  if (address === gateway.address) return "the gateway";
  return address === nameServer.address ? "the name server" : undefined;
}

/** Throws a SlirpError for the first guest forward that cannot work. */
export function checkGuestForwards(forwards: readonly GuestForward[], { ipv4 }: Networks): void {
  const taken = new Set<string>();
  forwards.forEach((forward, index) => {
    const place = `guestForwards[${String(index)}]`;
    checkInteger(`${place}.serverPort`, forward.serverPort, 1, 65535);
    if (!ipv4) {
      const problem = `${formatGuestForward(forward)} is of IPv4, which is off`;
      throw refusal(place, problem, "switch IPv4 on or leave the forward out");
    }
    checkServerAddress(`${place}.serverAddress`, forward.serverAddress, ipv4);
    const key = formatEndpoint({ ...forward.serverAddress, port: forward.serverPort });
    if (taken.has(key)) {
      const problem = `${formatGuestForward(forward)} is the second one at ${key}`;
      throw refusal(place, problem, "choose another server port, or leave one of them out");
    }
    taken.add(key);
  });
}

function checkServerAddress(place: string, server: IpAddress, ipv4: Ipv4Options): void {
  const network = `${ipv4.network.address}/${String(ipv4.prefixLength)}`;
  const remedy = `choose a free address in ${network}`;
  const reject = (what: string) => refusal(place, `${server.address} is ${what}`, remedy);
  const first = toNumber(ipv4.network);
  const last = (first | hostMask(ipv4.prefixLength)) >>> 0;
  const number = toNumber(server);
  if (server.family !== 4 || number < first || number > last) throw reject(`outside ${network}`);
  if (number === first || number === last) throw reject("the network or broadcast address");
  const own = ownAddress(server, ipv4);
  if (own !== undefined) throw reject(own);
  if (server.address === ipv4.dhcpStart.address) {
    throw reject("the first address that DHCP gives out, so a guest's");
  }
}
