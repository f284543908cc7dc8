/**
 * Where a rule of a routing table applies, as people write it: protocol, addresses and ports, each of which may be left out.
 *
 *     udp    tcp:443    10.0.0.0/8    [fd00::/8]:53    :80,8000-8999    udp:192.0.2.1:123
 */
import type { IpEndpoint } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { isInRange, parseIpRange, type IpRange } from "./ip-range.js";

/** What is routed. */
export type RouteProtocol = "tcp" | "udp";

/** A rule that was read. */
export interface RouteMatcher {
  /** Undefined: both. */
  readonly protocol: RouteProtocol | undefined;
  /** Undefined: every address. */
  readonly range: IpRange | undefined;
  /** Undefined: every port. */
  readonly ports: readonly (readonly [first: number, last: number])[] | undefined;
}

/** Whether a rule applies to a destination. */
export function matches(
  { protocol, range, ports }: RouteMatcher,
  asked: RouteProtocol,
  remote: IpEndpoint,
): boolean {
  if (protocol !== undefined && protocol !== asked) return false;
  if (range && !isInRange(range, remote)) return false;
  return ports?.some(([first, last]) => remote.port >= first && remote.port <= last) ?? true;
}

/** Reads a rule. @throws SlirpError `invalidConfiguration` naming it. */
export function parseRoute(text: string): RouteMatcher {
  const [, protocol, rest = text] = /^(tcp|udp)(?:$|:(.*)$)/.exec(text) ?? [];
  const isWord = protocol !== undefined && text === protocol;
  const place = isWord ? { range: undefined, ports: undefined } : parsePlace(rest);
  if (place) return { protocol: protocol as RouteProtocol | undefined, ...place };
  const form = "[tcp:|udp:][ADDRESS[/PREFIX]][:PORTS]";
  const message = `rule "${text}": it must be ${form}, such as udp, tcp:443, 10.0.0.0/8 or [fd00::/8]:53`;
  throw new SlirpError(ErrorCode.invalidConfiguration, message);
}

/** Addresses and ports; an IPv6 address stands in brackets where ports follow. */
function parsePlace(text: string): Omit<RouteMatcher, "protocol"> | undefined {
  const range = parseIpRange(text);
  if (range) return { range, ports: undefined };
  const [, inBrackets, bare = "", portsText] =
    /^(?:\[(.+)\]|([\d./]+))(?::(.+))?$/.exec(text) ?? [];
  // Ports alone need no colon.
  const onlyPorts = parsePorts(text.replace(/^:/, ""));
  if (onlyPorts) return { range: undefined, ports: onlyPorts };
  const addresses = parseIpRange(inBrackets ?? bare);
  const ports = portsText === undefined ? undefined : parsePorts(portsText);
  const isRead = addresses && (portsText === undefined ? text.endsWith("]") : ports !== undefined);
  return isRead ? { range: addresses, ports } : undefined;
}

/** `80,8000-8999`; undefined where it is something else. */
function parsePorts(text: string): (readonly [number, number])[] | undefined {
  const ports = text.split(",").map((part) => {
    const [, first = "", last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    return [Number(first || NaN), Number(last || NaN)] as const;
  });
  const areRight = ports.every(([first, last]) => first >= 1 && first <= last && last <= 65_535);
  return areRight ? ports : undefined;
}
