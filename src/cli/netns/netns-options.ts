/**
 * What the command line of `slirp-wasm netns` says: that of slirp4netns 1.3 with its defaults, limits and messages.
 *
 * Where slirp4netns takes what cannot work (a MAC of three bytes, a port above 65535), this refuses and says why.
 */
import { networkInterfaces } from "node:os";
import { existsSync } from "node:fs";
import { ipAddress, parseIpAddress, type IpAddress } from "../../address.js";
import { MAX_BUSY_POLL_US } from "../../node/socket-addon.js";
import { readCommandLine, type LongOption } from "./getopt-long.js";
import { readNetwork, type NetnsNetwork } from "./netns-network.js";
import { NetnsUsageError } from "./netns-usage-error.js";

/** Where the frames come from. */
export type NetnsTarget =
  | { readonly kind: "namespace"; readonly netnsPath: string; readonly usernsPath?: string }
  | { readonly kind: "tapfd"; readonly fd: number }
  | { readonly kind: "bess"; readonly path: string };

/** Everything that was asked for. */
export interface NetnsOptions {
  readonly target: NetnsTarget;
  readonly tapName: string;
  readonly configure: boolean;
  readonly network: NetnsNetwork;
  readonly mtuBytes: number;
  readonly enableIpv6: boolean;
  readonly disableHostLoopback: boolean;
  readonly disableDns: boolean;
  readonly enableSandbox: boolean;
  readonly enableSeccomp: boolean;
  readonly exitFd: number | undefined;
  readonly readyFd: number | undefined;
  readonly apiSocketPath: string | undefined;
  readonly outboundAddress: IpAddress | undefined;
  readonly outboundAddress6: IpAddress | undefined;
  readonly macAddress: string | undefined;
  readonly busyPollUs: number;
  /** Said before anything else. */
  readonly warnings: readonly string[];
}

/**
 * The command line that goes on with these options on a TAP that is open already, or that begins anew with a `bess` socket. Without
 * `--enable-sandbox`: it is for who is in the sandbox.
 */
export function formatNetnsOptions(options: NetnsOptions, tapFd: number | undefined): string[] {
  const { network, target } = options;
  const values: readonly (readonly [string, string | number | undefined])[] = [
    ["cidr", `${network.network.address}/${String(network.prefixLength)}`],
    ["mtu", options.mtuBytes],
    ["exit-fd", options.exitFd],
    ["ready-fd", options.readyFd],
    ["api-socket", options.apiSocketPath],
    ["outbound-addr", options.outboundAddress?.address],
    ["outbound-addr6", options.outboundAddress6?.address],
    ["busy-poll", options.busyPollUs],
  ];
  const switches: readonly (readonly [string, boolean])[] = [
    ["enable-ipv6", options.enableIpv6],
    ["disable-host-loopback", options.disableHostLoopback],
    ["disable-dns", options.disableDns],
    ["enable-seccomp", options.enableSeccomp],
  ];
  return [
    ...values.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
    ...switches.flatMap(([name, isOn]) => (isOn ? [`--${name}`] : [])),
    ...(tapFd === undefined ? [] : ["--netns-type=tapfd", String(tapFd)]),
    ...(target.kind === "bess" ? ["--target-type=bess", target.path] : []),
  ];
}

/** What is to be printed instead of being done. */
export type NetnsRequest = NetnsOptions | "help" | "version";

const OPTIONS: readonly LongOption[] = [
  { name: "configure", short: "c", hasValue: false },
  { name: "exit-fd", short: "e", hasValue: true },
  { name: "ready-fd", short: "r", hasValue: true },
  { name: "mtu", short: "m", hasValue: true },
  { name: "enable-ipv6", short: "6", hasValue: false },
  { name: "api-socket", short: "a", hasValue: true },
  { name: "cidr", hasValue: true },
  { name: "disable-host-loopback", hasValue: false },
  { name: "netns-type", hasValue: true },
  { name: "userns-path", hasValue: true },
  { name: "enable-sandbox", hasValue: false },
  { name: "enable-seccomp", hasValue: false },
  { name: "outbound-addr", hasValue: true },
  { name: "outbound-addr6", hasValue: true },
  { name: "disable-dns", hasValue: false },
  { name: "macaddress", hasValue: true },
  { name: "target-type", hasValue: true },
  { name: "busy-poll", hasValue: true },
  { name: "help", short: "h", hasValue: false },
  { name: "version", short: "v", hasValue: false },
];

const MAX_MTU_BYTES = 65_521;

/** What waits take while guest and server take turns, if both have to be woken; polling halves them. */
const DEFAULT_BUSY_POLL_US = 100;

/**
 * Reads it.
 * @throws CommandLineError, NetnsUsageError
 */
export function readNetnsOptions(args: readonly string[]): NetnsRequest {
  const { options, words } = readCommandLine(args, OPTIONS);
  const values = new Map(options.map(({ name, value }) => [name, value]));
  if (values.has("help")) return "help";
  if (values.has("version")) return "version";
  const numbers = readNumbers(values);
  const configure = values.has("configure");
  const macAddress = readMacAddress(values.get("macaddress"), configure);
  const enableIpv6 = values.has("enable-ipv6");
  const place = readPlace(values, words);
  return {
    ...place,
    ...numbers,
    configure,
    macAddress,
    enableIpv6,
    network: readNetwork(values.get("cidr") ?? "10.0.2.0/24"),
    disableHostLoopback: values.has("disable-host-loopback"),
    disableDns: values.has("disable-dns"),
    enableSandbox: values.has("enable-sandbox"),
    enableSeccomp: values.has("enable-seccomp"),
    apiSocketPath: values.get("api-socket"),
    outboundAddress: readOutbound(values.get("outbound-addr"), 4),
    outboundAddress6: readOutbound(values.get("outbound-addr6"), 6),
  };
}

function readNumbers(values: ReadonlyMap<string, string>) {
  const mtuBytes = readInteger(values.get("mtu") ?? "1500");
  if (mtuBytes === undefined || mtuBytes < 1 || mtuBytes > MAX_MTU_BYTES) {
    throw new NetnsUsageError(`MTU must be a positive integer (< ${String(MAX_MTU_BYTES + 1)})`);
  }
  const busyPollUs = readInteger(values.get("busy-poll") ?? String(DEFAULT_BUSY_POLL_US));
  if (busyPollUs === undefined || busyPollUs > MAX_BUSY_POLL_US) {
    throw new NetnsUsageError(`--busy-poll must be microseconds, 0 to ${String(MAX_BUSY_POLL_US)}`);
  }
  return {
    mtuBytes,
    busyPollUs,
    exitFd: readDescriptor(values, "exit-fd"),
    readyFd: readDescriptor(values, "ready-fd"),
  };
}

function readInteger(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function readDescriptor(values: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = values.get(name);
  if (text === undefined) return undefined;
  const fd = readInteger(text);
  if (fd === undefined) throw new NetnsUsageError(`${name} must be a non-negative integer`);
  return fd;
}

function readMacAddress(text: string | undefined, configure: boolean): string | undefined {
  if (text === undefined) return undefined;
  if (!configure) {
    const message =
      "--macaddr cannot be specified when --configure or -c is not specified (--macaddress)";
    throw new NetnsUsageError(message);
  }
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return text;
  throw new NetnsUsageError(
    `--macaddress: "${text}" is no MAC address, write six bytes like 02:00:00:00:00:01`,
  );
}

/** Where to, and the interface's name. */
function readPlace(
  values: ReadonlyMap<string, string>,
  words: readonly string[],
): Pick<NetnsOptions, "target" | "tapName" | "warnings"> {
  const type = values.get("target-type") ?? "netns";
  if (type !== "netns" && type !== "bess") {
    throw new NetnsUsageError('--target-type must be either "netns" or "bess"');
  }
  const usernsPath = values.get("userns-path");
  if (usernsPath !== undefined && !existsSync(usernsPath)) {
    throw new NetnsUsageError(`userns path doesn't exist: ${usernsPath}`);
  }
  const [where, tapName = "", ...rest] = words;
  if (where === undefined) throw new NetnsUsageError("");
  if (type === "bess") {
    for (const name of ["configure", "netns-type", "userns-path"]) {
      if (values.has(name)) {
        throw new NetnsUsageError(`--${name} conflicts with --target-type=bess`);
      }
    }
    if (words.length > 1) throw new NetnsUsageError("too many arguments");
    return { target: { kind: "bess", path: where }, tapName, warnings: [] };
  }
  const target = readTarget(values.get("netns-type") ?? "pid", where, usernsPath);
  if (target.kind === "tapfd" ? tapName !== "" : rest.length > 0) {
    return { target, tapName, warnings: ["WARNING: too many arguments"] };
  }
  if (target.kind === "namespace" && tapName === "") throw new NetnsUsageError("");
  if (target.kind === "tapfd" && values.has("configure")) {
    throw new NetnsUsageError("--configure conflicts with --netns-type=tapfd");
  }
  return { target, tapName, warnings: [] };
}

function readTarget(type: string, where: string, usernsPath: string | undefined): NetnsTarget {
  const userns = usernsPath === undefined ? {} : { usernsPath };
  if (type === "path") {
    if (existsSync(where)) return { kind: "namespace", netnsPath: where, ...userns };
    const text = `existing path expected when --netns-type=path: No such file or directory`;
    throw new NetnsUsageError(`${text} (${where})`);
  }
  if (type === "tapfd") {
    const fd = readInteger(where);
    if (fd === undefined) throw new NetnsUsageError("tapfd must be a non-negative integer");
    return { kind: "tapfd", fd };
  }
  if (type !== "pid") {
    throw new NetnsUsageError(`--netns-type must be "pid", "path" or "tapfd", not "${type}"`);
  }
  const pid = readInteger(where);
  if (pid === undefined || pid === 0) {
    throw new NetnsUsageError("PID must be a positive integer");
  }
  const folder = `/proc/${String(pid)}/ns`;
  const own = { kind: "namespace", netnsPath: `${folder}/net`, usernsPath: `${folder}/user` };
  return { ...own, kind: "namespace", ...userns };
}

/** An address, or the first one of an interface. */
function readOutbound(text: string | undefined, family: 4 | 6): IpAddress | undefined {
  if (text === undefined) return undefined;
  const address = parseIpAddress(text);
  if (address?.family === family) return address;
  const found = networkInterfaces()[text]?.find((info) => info.family === `IPv${String(family)}`);
  if (found) return ipAddress(found.address.replace(/%.*$/, ""));
  const option = family === 4 ? "outbound-addr" : "outbound-addr6";
  const message = `${option} has to be valid ipv${String(family)} address or interface name.`;
  throw new NetnsUsageError(message, false);
}
