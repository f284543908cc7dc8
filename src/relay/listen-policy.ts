/**
 * Which ports a relay opens for its clients, at which addresses, and for whom. By itself it opens none.
 */
import { parseIpAddress, type IpFamily } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { isEqual } from "./credentials.js";

/** What clients may have opened. */
export interface ForwardOptions {
  /** Ports and ranges of ports: `8080`, `8000-8999`. A client that asks for any free port gets one of them. */
  readonly ports: readonly string[];
  /** Secrets, one of which a client must know. Default: whoever may use the relay may open ports. */
  readonly tokens?: readonly string[];
  /**
   * Addresses to listen on; `0.0.0.0` and `::` stand for every address of their IP version. A client that asks for every address gets the
   * first of its version. Default: loopback, so that only this machine reaches the ports.
   */
  readonly addresses?: readonly string[];
}

/** What to bind: the address, and the ports to try in turn. */
export interface ListenPlace {
  readonly address: string;
  readonly ports: readonly number[];
}

interface Address {
  readonly text: string;
  readonly family: IpFamily;
  readonly isWildcard: boolean;
}

const LOOPBACK = ["127.0.0.1", "::1"];

/** Ports that are tried when any will do: where so many of a range are taken, one more will not help. */
const MAX_TRIES = 64;

/** See the top of the file. */
export class ListenPolicy {
  /** Listeners of all clients. */
  openListeners = 0;
  readonly #ranges: readonly (readonly [first: number, last: number])[];
  readonly #tokens: readonly string[];
  readonly #addresses: readonly Address[];

  /** @throws SlirpError `invalidConfiguration` that names what cannot be read. */
  constructor({ ports, tokens = [], addresses = LOOPBACK }: ForwardOptions) {
    this.#ranges = ports.map(readRange);
    this.#tokens = tokens;
    this.#addresses = addresses.map(readAddress);
  }

  get needsToken(): boolean {
    return this.#tokens.length > 0;
  }

  knowsToken(token: string): boolean {
    // Every token is compared, so that time does not tell which is near.
    return !this.needsToken || this.#tokens.map((known) => isEqual(token, known)).includes(true);
  }

  /** Where a client's listener goes; or the rule by which it goes nowhere. */
  judge(address: string, port: number): ListenPlace | { readonly rule: string } {
    const bind = this.#chooseAddress(address);
    if (bind === undefined) {
      return { rule: `it does not listen on ${address}, but on ${this.#list()}` };
    }
    const ports = port === 0 ? this.#anyPorts() : this.#isOpen(port) ? [port] : [];
    if (ports.length > 0) return { address: bind, ports };
    const ranges = this.#ranges.map(([first, last]) => `${String(first)}-${String(last)}`);
    return { rule: `port ${String(port)} is not one that it opens: ${ranges.join(", ")}` };
  }

  #chooseAddress(text: string): string | undefined {
    if (text === "") return this.#addresses[0]?.text;
    const asked = parseIpAddress(text);
    if (!asked) return undefined;
    const ours = this.#addresses.filter(({ family }) => family === asked.family);
    const wildcard = ours.find(({ isWildcard }) => isWildcard);
    if (isWildcard(asked.bytes)) return (wildcard ?? ours[0])?.text;
    return wildcard ? asked.address : ours.find((own) => own.text === asked.address)?.text;
  }

  #isOpen(port: number): boolean {
    return this.#ranges.some(([first, last]) => port >= first && port <= last);
  }

  /** Some of all ports, from a random one on. */
  #anyPorts(): readonly number[] {
    const count = this.#ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const start = Math.floor(Math.random() * count);
    return Array.from({ length: Math.min(count, MAX_TRIES) }, (_, i) =>
      this.#portAt((start + i) % count),
    );
  }

  #portAt(index: number): number {
    let left = index;
    for (const [first, last] of this.#ranges) {
      if (left <= last - first) return first + left;
      left -= last - first + 1;
    }
    throw new RangeError(`there is no port ${String(index)}`);
  }

  #list(): string {
    return this.#addresses.map(({ text }) => text).join(", ");
  }
}

function isWildcard(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function readRange(text: string): readonly [number, number] {
  const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (from !== "" && first >= 1 && first <= last && last <= 65_535) return [first, last];
  throw refuse(`ports "${text}": write "8080" or "8000-8999", from 1 to 65535`);
}

function readAddress(text: string): Address {
  const parsed = parseIpAddress(text);
  if (!parsed) throw refuse(`addresses "${text}": that is no IP address`);
  const { address, family, bytes } = parsed;
  return { text: address, family, isWildcard: isWildcard(bytes) };
}

function refuse(problem: string): SlirpError {
  return new SlirpError(ErrorCode.invalidConfiguration, `the relay's forwards: ${problem}`);
}
