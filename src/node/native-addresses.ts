/**
 * Addresses on their way to and from the addon: in two arrays that are used again and again (native/socket-address.h has the format).
 */
import { ipAddressFromBytes, ipEndpoint, type IpEndpoint } from "../address.js";
import { ADDRESS_BYTES, type SocketAddon } from "./socket-addon.js";

const PORT_OFFSET = 2;
const SCOPE_OFFSET = 4;
const ADDRESS_OFFSET = 8;

export class NativeAddresses {
  /** Where the addon writes addresses; `read` makes an endpoint of the last. */
  readonly source = new Uint8Array(ADDRESS_BYTES);
  readonly #target = new Uint8Array(ADDRESS_BYTES);
  readonly #addon: SocketAddon;
  #written: IpEndpoint | undefined;

  constructor(addon: SocketAddon) {
    this.#addon = addon;
  }

  /** The endpoint as the addon reads it: valid until the next `write`. Who sends to one endpoint again and again writes it once. */
  write(endpoint: IpEndpoint): Uint8Array {
    if (this.#written === endpoint) return this.#target;
    this.#encode(endpoint, this.#target);
    this.#written = endpoint;
    return this.#target;
  }

  /** The same in an array of its own. */
  copyOf(endpoint: IpEndpoint): Uint8Array {
    const bytes = new Uint8Array(ADDRESS_BYTES);
    this.#encode(endpoint, bytes);
    return bytes;
  }

  /** What the addon wrote to `source`; undefined for what is no IP address. */
  read(): IpEndpoint | undefined {
    const { source } = this;
    const family = source[0];
    if (family !== 4 && family !== 6) return undefined;
    const end = ADDRESS_OFFSET + (family === 4 ? 4 : 16);
    const address = ipAddressFromBytes(source.subarray(ADDRESS_OFFSET, end));
    const port = (source[PORT_OFFSET]! << 8) | source[PORT_OFFSET + 1]!;
    const endpoint = ipEndpoint(address, port);
    const scope = new DataView(source.buffer).getUint32(SCOPE_OFFSET, true);
    if (family === 4 || scope === 0) return endpoint;
    return { ...endpoint, zone: this.#addon.interfaceName(scope) || String(scope) };
  }

  #encode(endpoint: IpEndpoint, bytes: Uint8Array): void {
    bytes.fill(0);
    bytes[0] = endpoint.family;
    bytes[PORT_OFFSET] = endpoint.port >> 8;
    bytes[PORT_OFFSET + 1] = endpoint.port & 0xff;
    bytes.set(endpoint.bytes, ADDRESS_OFFSET);
    if (endpoint.zone !== undefined) {
      new DataView(bytes.buffer).setUint32(SCOPE_OFFSET, this.#scopeOf(endpoint.zone), true);
    }
  }

  /** 0, with which the system refuses a link-local address, where there is no such zone. */
  #scopeOf(zone: string): number {
    if (/^\d{1,9}$/.test(zone)) return Number(zone);
    // A name that no interface can have.
    return zone.length > 15 || zone.includes("\0") ? 0 : this.#addon.interfaceIndex(zone);
  }
}
