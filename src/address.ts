/**
 * Addresses as the project passes them around: parsed once, kept as text and as bytes.
 *
 * Text is what Node's and a browser's interfaces take; bytes are what goes into linear memory. Parsing is strict: only the
 * forms that RFC 4291 (IPv6) and four decimal parts without leading zeros (IPv4) allow, because "010.1" means different
 * hosts to different programs. No library reads them for us: what a page loads as it stands, without a bundler, can have no
 * bare import, in a worker not even with an import map.
 */

/** IP version of an address. */
export type IpFamily = 4 | 6;

/** An IP address with a port: what a TCP or UDP socket is bound or connected to. */
export interface IpEndpoint {
  /** IP version. */
  readonly family: IpFamily;
  /** Canonical text: dotted decimal, or RFC 5952 without brackets and without zone. */
  readonly address: string;
  /** The address in network byte order, 4 or 16 bytes. Not to be written to. */
  readonly bytes: Uint8Array;
  /** 0 to 65535; 0 asks for any free port where one is bound. */
  readonly port: number;
  /** IPv6 zone (interface index or name), where the address is link-local. */
  readonly zone?: string;
}

/** A unix stream socket's path. */
export interface UnixEndpoint {
  /** Tells it from an IP endpoint. */
  readonly family: "unix";
  /** Absolute, or relative to the process's folder. */
  readonly path: string;
}

/** Whatever a host socket can be bound or connected to. */
export type HostEndpoint = IpEndpoint | UnixEndpoint;

/** An IP address without a port. */
export interface IpAddress {
  /** IP version. */
  readonly family: IpFamily;
  /** Canonical text, as in {@link IpEndpoint}. */
  readonly address: string;
  /** In network byte order, 4 or 16 bytes. Not to be written to. */
  readonly bytes: Uint8Array;
}

/**
 * Reads an IP address. Answers undefined where the text is not one: a host name, an IPv4 address with fewer than four
 * parts or leading zeros, a zone, brackets.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const bytes = parseIpv4(text) ?? parseIpv6(text);
  return bytes && ipAddressFromBytes(bytes);
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (!parts || parts.some((part) => Number(part) > 255 || /^0./.test(part))) return undefined;
  return Uint8Array.from(parts, Number);
}

const IPV6_GROUPS = 8;

/** Groups of at most four hexadecimal digits, of which one run of zeros may be left out, and a dotted end (RFC 4291, 2.2). */
function parseIpv6(text: string): Uint8Array | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0 || !text.includes(":")) return undefined;
  const first = readGroups(head, tail === undefined);
  const last = readGroups(tail ?? "", true);
  if (!first || !last) return undefined;
  const missing = IPV6_GROUPS - first.length - last.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...first, ...new Array<number>(missing).fill(0), ...last];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Undefined where the text is not a list of groups. `isEnd`: its last part may be an IPv4 address. */
function readGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    const embedded = isEnd && index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (embedded) {
      const [a = 0, b = 0, c = 0, d = 0] = embedded;
      groups.push((a << 8) | b, (c << 8) | d);
    } else if (/^[\da-f]{1,4}$/i.test(part)) groups.push(parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** RFC 5952: no leading zeros, lower case, and the first of the longest runs of zeros left out, where it is one of two or more. */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: IPV6_GROUPS }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  let start = 0;
  let length = 1;
  for (let from = 0; from < IPV6_GROUPS; from++) {
    let end = from;
    while (groups[end] === "0") end++;
    if (end - from > length) [start, length] = [from, end - from];
  }
  if (length === 1) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** Makes an address of 4 or 16 bytes in network byte order. The bytes are copied. */
export function ipAddressFromBytes(bytes: Uint8Array): IpAddress {
  const copy = bytes.slice();
  if (copy.length === 4) return { family: 4, address: copy.join("."), bytes: copy };
  if (copy.length !== 16)
    throw new RangeError(`an IP address has 4 or 16 bytes, not ${String(copy.length)}`);
  return { family: 6, address: formatIpv6(copy), bytes: copy };
}

/** Reads an IP address that is known to be well-formed (a constant, a system call's answer). @throws RangeError where it is not */
export function ipAddress(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (!parsed) throw new RangeError(`"${text}" is not an IP address`);
  return parsed;
}

/** Puts a port to an address; a zone ("%eth0" behind the address) is kept apart. @throws RangeError for a bad address */
export function ipEndpoint(address: string | IpAddress, port: number): IpEndpoint {
  if (typeof address !== "string") return { ...address, port };
  const percent = address.indexOf("%");
  if (percent < 0) return { ...ipAddress(address), port };
  return { ...ipAddress(address.slice(0, percent)), port, zone: address.slice(percent + 1) };
}

/** The way people write an endpoint: `127.0.0.1:80`, `[::1]:80`, `unix:/path`. */
export function formatEndpoint(endpoint: HostEndpoint): string {
  if (endpoint.family === "unix") return `unix:${endpoint.path}`;
  if (endpoint.family === 4) return `${endpoint.address}:${String(endpoint.port)}`;
  const zone = endpoint.zone === undefined ? "" : `%${endpoint.zone}`;
  return `[${endpoint.address}${zone}]:${String(endpoint.port)}`;
}
