/**
 * Where a relay's clients may connect to. Pure.
 *
 * A rule is an address range, ports, or both; rules that deny come first, then those that allow, then the default: every address that is
 * global unicast, and no port 25. Addresses that carry another one (IPv4-mapped, NAT64, 6to4) are judged by that one too, for the packet
 * may end up there. The address that was judged is the one that is dialled: a name is looked up once.
 */
import ipaddr from "ipaddr.js";
import { parseIpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";

/** What the policy says of a target. */
export interface Verdict {
  /** Whether it may be dialled, or looked up. */
  readonly allowed: boolean;
  /** The rule that decided, for the log. */
  readonly rule: string;
}

/** The policy as people write it. */
export interface TargetPolicyOptions {
  /**
   * What is allowed beside the public internet: `192.0.2.0/24`, `::1`, `10.0.0.0/8:80,443`, `[fd00::/8]:1000-2000`, `*` for every address,
   * `*:25` for a port that is closed to all.
   */
  readonly allow?: readonly string[];
  /** What is not, whatever else is said; written in the same way. */
  readonly deny?: readonly string[];
  /** Names that may be asked for: `example.org`, `*.example.org`. Default: every name. Addresses are not names. */
  readonly names?: readonly string[];
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

interface Rule {
  readonly text: string;
  /** Undefined: every address. */
  readonly range: readonly [Address, number] | undefined;
  /** Undefined: every port that is not closed. */
  readonly ports: readonly (readonly [number, number])[] | undefined;
}

/** Mail servers listen there, and relays that let spam through end on lists. */
const CLOSED_PORTS: readonly number[] = [25];

/** Says which names may be looked up and which addresses dialled. Pure. */
export class TargetPolicy {
  readonly #allow: readonly Rule[];
  readonly #deny: readonly Rule[];
  readonly #names: readonly string[] | undefined;

  /** @throws SlirpError `invalidConfiguration` naming the rule that cannot be read. */
  constructor({ allow = [], deny = [], names }: TargetPolicyOptions = {}) {
    this.#allow = allow.map((text) => readRule("allow", text));
    this.#deny = deny.map((text) => readRule("deny", text));
    this.#names = names?.map(readName);
  }

  /** Whether a name may be looked up. */
  judgeName(name: string): Verdict {
    const asked = name.toLowerCase().replace(/\.$/, "");
    if (!this.#names) return { allowed: true, rule: "default" };
    const rule = this.#names.find((known) =>
      known.startsWith("*.") ? asked.endsWith(known.slice(1)) : asked === known,
    );
    return { allowed: rule !== undefined, rule: rule ?? "names" };
  }

  /** Whether an address may be dialled. */
  judge(address: string, port: number): Verdict {
    const parsed = parseIpAddress(address);
    if (!parsed || port < 1 || port > 65_535) return { allowed: false, rule: "no address" };
    const forms = formsOf(ipaddr.parse(parsed.address));
    const denied = this.#deny.find((rule) => forms.some((form) => applies(rule, form, port)));
    if (denied) return { allowed: false, rule: `deny ${denied.text}` };
    const closed = CLOSED_PORTS.includes(port);
    // Every form has to be allowed: the packet may go to any of them.
    const rules = forms.map((form) =>
      this.#allow.find(
        (rule) => applies(rule, form, port) && (!closed || rule.ports !== undefined),
      ),
    );
    if (rules.every((rule) => rule)) {
      return { allowed: true, rule: `allow ${rules[0]?.text ?? ""}` };
    }
    if (closed) return { allowed: false, rule: `port ${String(port)} is closed` };
    const hidden = forms.find((form, index) => !rules[index] && form.range() !== "unicast");
    return hidden
      ? { allowed: false, rule: `${hidden.toString()} is ${hidden.range()}, not global unicast` }
      : { allowed: true, rule: "default" };
  }
}

function readName(text: string): string {
  const name = text.toLowerCase().replace(/\.$/, "");
  if (/^(\*\.)?[^\s*/:]+$/.test(name)) return name;
  const message = `name ${JSON.stringify(text)}: write "example.org", or "*.example.org" for all below it`;
  throw new SlirpError(ErrorCode.invalidConfiguration, message);
}

function applies({ range, ports }: Rule, address: Address, port: number): boolean {
  if (ports && !ports.some(([first, last]) => port >= first && port <= last)) return false;
  if (!range) return true;
  const [network, bits] = range;
  if (network.kind() !== address.kind()) return false;
  return address.match(network, bits);
}

/** The address, or where it only carries an IPv4 address, that one; both where a packet may go to either (RFC 6052, RFC 3056). */
function formsOf(address: Address): readonly Address[] {
  if (address.kind() === "ipv4") return [address];
  const address6 = address as ipaddr.IPv6;
  const bytes = address6.toByteArray();
  const embedded = (from: number): ipaddr.IPv4 => new ipaddr.IPv4(bytes.slice(from, from + 4));
  switch (address6.range()) {
    case "ipv4Mapped":
      return [embedded(12)];
    case "rfc6052":
      return [embedded(12)];
    case "6to4":
      return [embedded(2)];
    default:
      // IPv4-compatible (RFC 4291 2.5.5.1), which no library names.
      return bytes.slice(0, 12).every((byte) => byte === 0) && (bytes[12] ?? 0) > 0
        ? [address6, embedded(12)]
        : [address6];
  }
}

function readRule(list: string, text: string): Rule {
  const bad = (what: string): SlirpError =>
    new SlirpError(
      ErrorCode.invalidConfiguration,
      `${list} "${text}": ${what}; write "192.0.2.0/24", "::1", "10.0.0.0/8:80,443", "[fd00::/8]:1000-2000" or "*"`,
    );
  const { range, ports } = splitRule(text);
  const [address = "", bits, more] = range.split("/");
  if (more !== undefined) throw bad("there are two slashes");
  if (range === "*") return { text, range: undefined, ports: readPorts(ports, bad) };
  const parsed = parseIpAddress(address);
  if (!parsed) throw bad(`"${address}" is no IP address`);
  const most = parsed.bytes.length * 8;
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
  if (!(prefix <= most)) throw bad(`the prefix must be 0 to ${String(most)}`);
  return { text, range: [ipaddr.parse(parsed.address), prefix], ports: readPorts(ports, bad) };
}

/** Range and ports: behind brackets, or behind the only colon. */
function splitRule(text: string): { range: string; ports: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed) return { range: bracketed[1] ?? "", ports: bracketed[2] };
  const colon = text.indexOf(":");
  return colon >= 0 && colon === text.lastIndexOf(":")
    ? { range: text.slice(0, colon), ports: text.slice(colon + 1) }
    : { range: text, ports: undefined };
}

function readPorts(
  text: string | undefined,
  bad: (what: string) => SlirpError,
): readonly (readonly [number, number])[] | undefined {
  return text?.split(",").map((part) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    const first = Number(match?.[1] ?? NaN);
    const last = Number(match?.[2] ?? first);
    if (!(first >= 1 && last <= 65_535 && first <= last)) {
      throw bad(`"${part}" is no port, and no range of ports`);
    }
    return [first, last] as const;
  });
}
