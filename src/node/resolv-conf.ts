/**
 * The resolvers that the system is set up with: /etc/resolv.conf, read anew when it has changed.
 *
 * Node has a list of its own (`dns.getServers()`), but reads it once, when the process starts; a laptop that changes
 * networks or a VPN that comes up would leave the guest without names. There is no watcher and no timer, which would keep an
 * idle stack busy: who asks for the list has the file's state compared, at most once a second.
 *
 * Format: resolv.conf(5). Only `nameserver` lines matter here; the guest brings its own resolver, so `options` and `search`
 * are its own business. glibc's limit of three servers is kept: people rely on the fourth not being asked.
 */
import { readFileSync, statSync } from "node:fs";
import { ipEndpoint, parseIpAddress, type IpEndpoint } from "../address.js";

export const DNS_PORT = 53;

/** glibc's MAXNS. */
const MAX_SERVERS = 3;

/** How long an answer is given again without a look at the file, milliseconds. */
const LOOK_INTERVAL_MS = 1000;

/** The servers that a resolv.conf names, in its order. Lines that cannot be read are passed over, as glibc does. */
export function parseResolvConf(text: string): IpEndpoint[] {
  const servers: IpEndpoint[] = [];
  for (const line of text.split("\n")) {
    const address = /^nameserver[ \t]+([^\s#;]+)/.exec(line)?.[1];
    const server = address === undefined ? undefined : parseServerAddress(address);
    if (server && servers.length < MAX_SERVERS) servers.push(server);
  }
  return servers;
}

/** An address, with a zone where it has one ("fe80::1%eth0"), and the port of DNS. */
function parseServerAddress(text: string): IpEndpoint | undefined {
  const [address = "", zone] = text.split("%", 2);
  const parsed = parseIpAddress(address);
  if (!parsed || zone === "" || (zone !== undefined && parsed.family === 4)) return undefined;
  return ipEndpoint(text, DNS_PORT);
}

/** Keeps the list of a file's servers up to date. */
export class ResolvConf {
  readonly #path: string;
  readonly #nowMs: () => number;
  #lookedAtMs = -Infinity;
  #state = "";
  #servers: readonly IpEndpoint[] = [];

  /** `nowMs`: a monotonic clock. */
  constructor(path: string, nowMs: () => number) {
    this.#path = path;
    this.#nowMs = nowMs;
  }

  /** The servers as of now, or of a second ago; none where there is no such file. */
  servers(): readonly IpEndpoint[] {
    const now = this.#nowMs();
    if (now - this.#lookedAtMs < LOOK_INTERVAL_MS) return this.#servers;
    this.#lookedAtMs = now;
    try {
      // A symbolic link is followed: systemd and NetworkManager replace what it leads to.
      const { mtimeMs, size, ino, dev } = statSync(this.#path);
      const state = [mtimeMs, size, ino, dev].join(" ");
      if (state === this.#state) return this.#servers;
      this.#servers = parseResolvConf(readFileSync(this.#path, "latin1"));
      this.#state = state;
    } catch {
      this.#servers = [];
      this.#state = "";
    }
    return this.#servers;
  }
}
