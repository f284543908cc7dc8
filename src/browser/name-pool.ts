/**
 * Addresses for names that nobody looks up: each name that is asked for gets one of a private range, and from the address the name is found
 * again. Where the range is used up, the name asked for longest ago loses its own.
 */
import { ipAddressFromBytes, type IpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { DnsType, isDnsName, reverseName } from "./dns-message.js";
import { parseIpRange } from "./ip-range.js";
import type { NameSource } from "./name-service.js";
import type { KnownName } from "./static-names.js";

/** For tests of network devices (RFC 2544): nobody's on the internet. */
const DEFAULT_POOL = "198.18.0.0/15";

/** Names remembered: more than a guest uses, little memory. */
const MAX_NAMES = 16_384;

/** The longest prefix: a handful of addresses would change hands while they are in use. */
const MAX_PREFIX_LENGTH = 24;

/** See the top of the file. */
export class NamePool implements NameSource {
  /** The name asked for last stands last. */
  readonly #addresses = new Map<string, IpAddress>();
  readonly #names = new Map<string, string>();
  readonly #reverseNames = new Map<string, string>();
  readonly #first: number;
  readonly #size: number;

  /** @throws SlirpError `invalidConfiguration`. */
  constructor(text = DEFAULT_POOL) {
    const range = parseIpRange(text);
    if (range?.family !== 4 || range.prefixLength > MAX_PREFIX_LENGTH) {
      const problem = `it must be a range of IPv4 addresses of at most /${MAX_PREFIX_LENGTH}, such as ${DEFAULT_POOL}`;
      throw new SlirpError(ErrorCode.invalidConfiguration, `pool "${text}": ${problem}`);
    }
    const size = 2 ** (32 - range.prefixLength);
    const first = new DataView(range.bytes.slice().buffer).getUint32(0);
    // Neither the network's own address nor the one of all.
    this.#first = first - (first % size) + 1;
    this.#size = Math.min(size - 2, MAX_NAMES);
  }

  find(name: string, type: number): KnownName | undefined {
    if (name.endsWith(".arpa")) {
      const known = this.#reverseNames.get(name);
      if (known === undefined) return { records: undefined };
      return { records: type === DnsType.PTR ? [{ name: known }] : [] };
    }
    if (!isDnsName(name)) return { records: undefined };
    return { records: type === DnsType.A ? [this.#addressOf(name)] : [] };
  }

  /** The name that has an address; undefined where none has. */
  nameOf(address: string): string | undefined {
    return this.#names.get(address);
  }

  #addressOf(name: string): IpAddress {
    const address = this.#addresses.get(name) ?? this.#free();
    this.#addresses.delete(name);
    this.#addresses.set(name, address);
    this.#names.set(address.address, name);
    this.#reverseNames.set(reverseName(address), name);
    return address;
  }

  #free(): IpAddress {
    const [oldest] = this.#addresses;
    if (oldest && this.#addresses.size >= this.#size) {
      this.#addresses.delete(oldest[0]);
      return oldest[1];
    }
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, this.#first + this.#addresses.size);
    return ipAddressFromBytes(bytes);
  }
}
