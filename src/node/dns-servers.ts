/**
 * Which resolvers the guest's questions go to: those that the user names, else the system's, else what Node knows.
 */
import dns from "node:dns";
import { ipEndpoint, parseIpAddress, type IpEndpoint } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { DNS_PORT, ResolvConf } from "./resolv-conf.js";

/** What resolv.conf(5) says of an empty or missing file: the machine's own server. */
const LAST_RESORT: readonly IpEndpoint[] = [ipEndpoint("127.0.0.1", DNS_PORT)];

/** Reads `1.1.1.1`, `1.1.1.1:5353`, `::1`, `fe80::1%eth0`, `[::1]:5353`. Throws a SlirpError for anything else. */
export function parseDnsServer(text: string): IpEndpoint {
  const match =
    /^(?<ip>[\d.]+)(?::(?<port>\d{1,5}))?$/.exec(text) ??
    /^\[(?<ip>[^\]]+)\]:(?<port>\d{1,5})$/.exec(text) ??
    /^(?<ip>[^[\]]+)$/.exec(text);
  const ip = match?.groups?.["ip"] ?? "";
  const port = Number(match?.groups?.["port"] ?? DNS_PORT);
  const [address = "", zone] = ip.split("%", 2);
  const parsed = parseIpAddress(address);
  if (!parsed || zone === "" || (zone && parsed.family === 4) || port < 1 || port > 65535) {
    throw new SlirpError(
      ErrorCode.invalidConfiguration,
      `DNS server "${text}": expected an IP address, with or without a port, ` +
        `such as 192.0.2.1, 192.0.2.1:5353, 2001:db8::1 or [2001:db8::1]:5353`,
    );
  }
  return ipEndpoint(ip, port);
}

/** Makes the function behind `HostNetwork.dnsServers`. */
export function dnsServerSource(
  fixed: readonly (string | IpEndpoint)[] | undefined,
  resolvConfPath: string,
  nowMs: () => number,
): () => readonly IpEndpoint[] {
  if (fixed) {
    const servers = fixed.map((server) =>
      typeof server === "string" ? parseDnsServer(server) : server,
    );
    return () => servers;
  }
  const resolvConf = new ResolvConf(resolvConfPath, nowMs);
  return () => {
    const servers = resolvConf.servers();
    return servers.length > 0 ? servers : serversOfNode();
  };
}

/**
 * Node's list, which it read when the process started: systems without a resolv.conf have theirs there. Asked of the module
 * object, since `dns.setServers` exchanges the function.
 */
function serversOfNode(): readonly IpEndpoint[] {
  const servers = dns.getServers().map(parseDnsServer);
  return servers.length > 0 ? servers : LAST_RESORT;
}
