/**
 * Names that the page knows: addresses by name, and names by address. What it knows of a name is all there is of it: a name that has
 * only an IPv4 address has no IPv6 one elsewhere.
 */
import { parseIpAddress, type IpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { DnsType, isDnsName, reverseName, type DnsData } from "./dns-message.js";

/**
 * Addresses by name: one, several, or null for a name that is not to exist. `*.example.org` stands for every name below example.org that is
 * not listed itself. Addresses are found by their names, too (PTR), the first name listed.
 */
export type StaticNameTable = Readonly<Record<string, string | readonly string[] | null>>;

/** Records of a name; undefined: the name does not exist. */
export interface KnownName {
  readonly records: readonly DnsData[] | undefined;
}

/** See the top of the file. */
export class StaticNames {
  readonly #addresses = new Map<string, readonly IpAddress[] | null>();
  readonly #names = new Map<string, string>();

  /** @throws SlirpError `invalidConfiguration` naming the entry. */
  constructor(table: StaticNameTable) {
    for (const [written, value] of Object.entries(table)) {
      const name = written.toLowerCase().replace(/\.$/, "");
      if (!isDnsName(name)) throw refusal(written, "is not a name");
      const texts = value === null ? null : typeof value === "string" ? [value] : value;
      const addresses = texts && texts.map((text) => readAddress(written, text));
      this.#addresses.set(name, addresses);
      if (name.startsWith("*.")) continue;
      for (const address of addresses ?? []) {
        const reverse = reverseName(address);
        if (!this.#names.has(reverse)) this.#names.set(reverse, name);
      }
    }
  }

  /** What is known of a name, or undefined where nothing is. */
  find(name: string, type: number): KnownName | undefined {
    const reverse = this.#names.get(name);
    if (reverse !== undefined) return { records: type === DnsType.PTR ? [{ name: reverse }] : [] };
    const addresses = this.#addressesOf(name);
    if (addresses === undefined) return undefined;
    if (addresses === null) return { records: undefined };
    const family = type === DnsType.A ? 4 : type === DnsType.AAAA ? 6 : undefined;
    return { records: addresses.filter((address) => address.family === family) };
  }

  #addressesOf(name: string): readonly IpAddress[] | null | undefined {
    const own = this.#addresses.get(name);
    if (own !== undefined) return own;
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const wild = this.#addresses.get(`*${name.slice(dot)}`);
      if (wild !== undefined) return wild;
    }
    return undefined;
  }
}

function readAddress(name: string, text: string): IpAddress {
  const address = parseIpAddress(text);
  if (!address) throw refusal(name, `"${text}" is not an IP address`);
  return address;
}

function refusal(name: string, problem: string): SlirpError {
  const text = `static name "${name}": ${problem}; an entry looks like "host.example": "192.0.2.1"`;
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}
