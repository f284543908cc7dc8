/**
 * The requests of slirp4netns's API: host ports opened, listed and closed.
 *
 * Beyond slirp4netns: `host_addr` and `guest_addr` may be IPv6 addresses, and `proto` may say the version (`tcp6`, `udp4`). A TCP port of
 * an IPv6 address may lead to an IPv4 guest; UDP keeps its version. An error's description begins as slirp4netns's does and goes on
 * with the reason.
 */
import { ipEndpoint, parseIpAddress, type IpAddress } from "../../address.js";
import type { HostForward } from "../../slirp-options.js";

/** Where forwards are kept; a stack. */
export interface ForwardTable {
  addForward(forward: HostForward): Promise<HostForward>;
  removeForward(forward: HostForward): void;
}

/** Where a forward leads that names no guest. */
export interface DefaultGuests {
  readonly ipv4: IpAddress;
  /** Undefined where there is no IPv6. */
  readonly ipv6: IpAddress | undefined;
}

interface Entry {
  readonly proto: string;
  readonly hostText: string;
  readonly guestText: string;
  readonly forward: HostForward;
}

/** A request that is answered with an error. */
class BadRequest extends Error {
  override readonly name = "BadRequest";
}

const PROTOCOL = /^(tcp|udp)([46]?)$/;

/** See the top of the file. Ids are never used again. */
export class ApiRequests {
  readonly #table: ForwardTable;
  readonly #guests: DefaultGuests;
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;

  constructor(table: ForwardTable, guests: DefaultGuests) {
    this.#table = table;
    this.#guests = guests;
  }

  /** Answers what is to be sent back; never rejects. */
  async answer(text: string): Promise<object> {
    try {
      const { execute, args } = readRequest(text);
      if (execute === "add_hostfwd") return { return: { id: await this.#add(args) } };
      if (execute === "remove_hostfwd") return { return: this.#remove(args) };
      if (execute === "list_hostfwd") return this.#list();
      throw new BadRequest(`unknown execute: "${execute}"`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { error: { desc: `bad request: ${reason}` } };
    }
  }

  async #add(args: Readonly<Record<string, unknown>>): Promise<number> {
    const entry = this.#readForward(args);
    try {
      await this.#table.addForward(entry.forward);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new BadRequest(`add_hostfwd: slirp_add_hostfwd failed: ${reason}`);
    }
    const id = ++this.#lastId;
    this.#entries.set(id, entry);
    return id;
  }

  #remove(args: Readonly<Record<string, unknown>>): object {
    const { id } = args;
    const entry = typeof id === "number" ? this.#entries.get(id) : undefined;
    if (!entry) throw new BadRequest("remove_hostfwd: bad arguments.id: there is no such forward");
    this.#table.removeForward(entry.forward);
    this.#entries.delete(id as number);
    return {};
  }

  /** The manual has the entries in `return`, slirp4netns itself beside where it would be: so they are in both places. */
  #list(): object {
    const entries = [...this.#entries].map(([id, { proto, hostText, guestText, forward }]) => ({
      id,
      proto,
      host_addr: hostText,
      host_port: forward.host.family === "unix" ? 0 : forward.host.port,
      guest_addr: guestText,
      guest_port: forward.guestPort,
    }));
    return { return: { entries }, entries };
  }

  #readForward(args: Readonly<Record<string, unknown>>): Entry {
    const proto = typeof args["proto"] === "string" ? args["proto"] : "";
    const [, protocol, version] = PROTOCOL.exec(proto) ?? [];
    if (protocol !== "tcp" && protocol !== "udp") {
      throw badArgument(
        "proto",
        'it must be "tcp" or "udp", with 4 or 6 behind it where it matters',
      );
    }
    const hostPort = readPort(args, "host_port");
    const guestPort = readPort(args, "guest_port");
    const host = readAddress(args, "host_addr") ?? anyAddress(version === "6" ? 6 : 4);
    if (version !== "" && String(host.family) !== version) {
      throw badArgument("host_addr", `${host.address} is no IPv${version ?? ""} address`);
    }
    const guest =
      readAddress(args, "guest_addr") ?? this.#defaultGuest(protocol, host.family, version === "6");
    if (protocol === "udp" && guest.family !== host.family) {
      throw badArgument("guest_addr", "UDP needs the same IP version on both sides");
    }
    if (guest.family === 6 && !this.#guests.ipv6) {
      throw badArgument("guest_addr", "IPv6 is off, --enable-ipv6 switches it on");
    }
    const forward: HostForward = {
      protocol,
      host: ipEndpoint(host, hostPort),
      guestAddress: guest,
      guestFamily: guest.family,
      guestPort,
    };
    return { proto, hostText: host.address, guestText: guest.address, forward };
  }

  /** Of TCP, IPv4 where nothing else is said: that is what the guest is sure to have. */
  #defaultGuest(protocol: "tcp" | "udp", hostFamily: 4 | 6, saysSix: boolean): IpAddress {
    const wantsSix = hostFamily === 6 && (protocol === "udp" || saysSix);
    if (!wantsSix) return this.#guests.ipv4;
    if (this.#guests.ipv6) return this.#guests.ipv6;
    throw badArgument("host_addr", "IPv6 is off, --enable-ipv6 switches it on");
  }
}

function readRequest(text: string): { execute: string; args: Readonly<Record<string, unknown>> } {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    throw new BadRequest("cannot parse JSON");
  }
  if (!isRecord(request)) throw new BadRequest("json_object() failed: it is no object");
  const { execute, arguments: args } = request;
  if (typeof execute !== "string") throw new BadRequest("no execute found");
  return { execute, args: isRecord(args) ? args : {} };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function badArgument(name: string, reason: string): BadRequest {
  return new BadRequest(`add_hostfwd: bad arguments.${name}: ${reason}`);
}

function readPort(args: Readonly<Record<string, unknown>>, name: string): number {
  const port = args[name];
  if (typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535)
    return port;
  throw badArgument(name, "it must be a number from 1 to 65535");
}

/** Undefined where there is none, or an empty one. */
function readAddress(args: Readonly<Record<string, unknown>>, name: string): IpAddress | undefined {
  const text = args[name];
  if (text === undefined || text === null || text === "") return undefined;
  const address = typeof text === "string" ? parseIpAddress(text) : undefined;
  if (address) return address;
  throw badArgument(name, "it must be an IP address");
}

function anyAddress(family: 4 | 6): IpAddress {
  const address = parseIpAddress(family === 4 ? "0.0.0.0" : "::");
  if (!address) throw new RangeError("no such IP version");
  return address;
}
