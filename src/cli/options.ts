/**
 * Options that several commands have, and the reading of what is written there. Errors are SlirpErrors that name the option and
 * the place in it.
 */
import { type Command, Option } from "commander";
import { SourceText } from "../config/source-text.js";
import { parseHostForwards, parseNetdev } from "../config/index.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { QemuAddress } from "../nics/qemu-address.js";
import type { SlirpOptions } from "../slirp-options.js";

/** For options that may be given again: what there was, and this. */
export const collect = (value: string, list: readonly string[] = []): string[] => [...list, value];

/** What {@link addNetworkOptions} makes of the command line. */
export interface NetworkFlags {
  readonly netdev?: string;
  readonly hostfwd?: readonly string[];
  readonly capture?: string;
}

/** Adds `--netdev`, `--hostfwd` and `--capture`. */
export function addNetworkOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--netdev <options>",
        'the guest\'s network: QEMU\'s "user,net=10.0.5.0/24,hostfwd=…" or bhyve\'s "slirp,hostfwd=…"',
      ),
    )
    .addOption(
      new Option(
        "--hostfwd <rule>",
        'a host port that leads to a guest port, "tcp::8080-:80"; may be given again',
      ).argParser(collect),
    )
    .addOption(
      new Option(
        "--capture <file>",
        "write what the guest sends and gets, as pcapng for Wireshark",
      ),
    );
}

/** The stack's options of both. */
export function readNetworkFlags({ netdev, hostfwd }: NetworkFlags): SlirpOptions {
  const options = netdev === undefined ? {} : parseNetdev(netdev);
  if (!hostfwd) return options;
  const { hostForwards = [] } = options;
  return { ...options, hostForwards: [...hostForwards, ...parseHostForwards(hostfwd)] };
}

/** Longest delay that a timer takes, seconds. */
const MAX_SECONDS = 2_147_483;

/** Seconds, more than 0, with fractions; answers milliseconds. */
export function readSeconds(option: string, text: string): number {
  const seconds = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN;
  if (seconds > 0 && seconds <= MAX_SECONDS) return Math.ceil(seconds * 1000);
  throw new SlirpError(
    ErrorCode.invalidConfiguration,
    `${option} ${JSON.stringify(text)}: that is no time; write seconds, more than 0 and up to ${String(MAX_SECONDS)}`,
  );
}

/** Where guests are to come in. */
export type ListenAddress =
  | { readonly kind: "stream"; readonly address: QemuAddress }
  | {
      readonly kind: "datagram";
      readonly address: { readonly host: string; readonly port: number };
    };

/** `HOST:PORT`, an IPv6 address in brackets; `tcp:` may stand before it. */
export function readTcpListenAddress(text: string): { host: string; port: number } {
  const source = SourceText.of("--listen", text);
  return text.startsWith("tcp:")
    ? readHostAndPort(source.slice("tcp:".length), "tcp:")
    : readHostAndPort(source, "");
}

/** `unix:PATH`, `tcp:HOST:PORT` or `udp:HOST:PORT`, IPv6 addresses in brackets. */
export function readListenAddress(text: string, datagrams: boolean): ListenAddress {
  const source = SourceText.of("--listen", text);
  const colon = text.indexOf(":");
  const kind = text.slice(0, Math.max(colon, 0));
  const rest = source.slice(colon + 1);
  if (kind === "unix") {
    if (datagrams) {
      throw source.error(
        "Node has no unix datagram sockets, so there is no --dgram on a path",
        'write "udp:127.0.0.1:PORT", or leave --dgram out',
        ErrorCode.unsupportedOption,
      );
    }
    if (rest.value === "") throw rest.error("there is no path", 'write "unix:/run/guest.sock"');
    return { kind: "stream", address: { path: rest.value } };
  }
  if (kind === "udp") return { kind: "datagram", address: readHostAndPort(rest, `${kind}:`) };
  if (kind !== "tcp") {
    throw source.error(
      "it begins with none of the kinds of socket",
      'write "unix:PATH", "tcp:HOST:PORT" or "udp:HOST:PORT"',
    );
  }
  if (datagrams) {
    throw source.error("--dgram is for datagrams, and this is a stream", 'write "udp:HOST:PORT"');
  }
  return { kind: "stream", address: readHostAndPort(rest, `${kind}:`) };
}

function readHostAndPort(rest: SourceText, prefix: string): { host: string; port: number } {
  const colon = rest.value.lastIndexOf(":");
  if (colon < 0) throw rest.error("there is no port", `write "${prefix}HOST:PORT"`);
  const host = rest.value.slice(0, colon);
  const portText = rest.slice(colon + 1);
  const inner = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  if (inner === "" || (inner === host && host.includes(":"))) {
    throw rest.error(
      `the host is ${JSON.stringify(host)}`,
      "write an address, an IPv6 one in brackets",
    );
  }
  const port = /^\d{1,5}$/.test(portText.value) ? Number(portText.value) : NaN;
  if (!(port <= 65_535)) {
    throw portText.error(
      `the port is ${portText.quoted}`,
      "write a number from 0 to 65535 (0: any free port)",
    );
  }
  return { host: inner, port };
}
