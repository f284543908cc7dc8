/**
 * The options of `-netdev user`, one row each: what an example looks like, whether it may repeat, and what its value does to
 * the options that are being gathered. `netdev-user.ts` tells of the string as a whole.
 */
import type { IpAddress } from "../address.js";
import { ErrorCode } from "../errors.js";
import type {
  GuestForward,
  HostForward,
  Ipv4Options,
  Ipv6Options,
  SlirpOptions,
} from "../slirp-options.js";
import { readGuestForward } from "./guest-forward.js";
import { readHostForward } from "./host-forward.js";
import { readIpv4Network, readIpv6Network, readIpv6PrefixLength } from "./network-text.js";
import { readBoolean, readText } from "./option-list.js";
import { readAddress } from "./read-address.js";
import { readNumber } from "./read-number.js";
import type { SourceText } from "./source-text.js";

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What has been read so far. */
export class UserDraft {
  readonly options: Writable<Omit<SlirpOptions, "ipv4" | "ipv6">> = {};
  readonly ipv4: Writable<Partial<Ipv4Options>> = {};
  readonly ipv6: Writable<Partial<Ipv6Options>> = {};
  readonly dnsSearch: string[] = [];
  readonly hostForwards: HostForward[] = [];
  readonly guestForwards: GuestForward[] = [];
  /** What `ipv4=` and `ipv6=` say, where they are there. */
  ipv4On: boolean | undefined;
  ipv6On: boolean | undefined;
}

/** One row. */
export interface UserOption {
  /** A value to show in an error. */
  readonly example: string;
  readonly repeats: boolean;
  /** Takes the value. `name` is there to be pointed at. */
  readonly read: (value: SourceText, draft: UserDraft, name: SourceText) => void;
}

type Read = UserOption["read"];
type TextName = "hostname" | "domainName" | "tftpRoot" | "tftpServerName" | "bootFile";
type FlagName = "restricted" | "disableHostLoopback" | "disableDns" | "disableDhcp";
type PutAddress = (draft: UserDraft, address: IpAddress) => void;

export const QEMU_BOOLEANS = { yes: ["on", "yes", "true", "y"], no: ["off", "no", "false", "n"] };

function single(example: string, read: Read): UserOption {
  return { example, repeats: false, read };
}

function repeating(example: string, read: Read): UserOption {
  return { example, repeats: true, read };
}

function text(example: string, key: TextName): UserOption {
  return single(example, (value, { options }) => {
    options[key] = readText(value);
  });
}

function flag(key: FlagName): UserOption {
  return single("on", (value, { options }) => {
    options[key] = readBoolean(value, QEMU_BOOLEANS);
  });
}

function packetSize(key: "mtuBytes" | "mruBytes"): UserOption {
  return single("1500", (value, { options }) => {
    options[key] = readNumber(value, { what: "packet size in bytes", min: 68, max: 65521 });
  });
}

function address4(what: string, put: PutAddress): UserOption {
  return single("10.0.2.9", (value, draft) => {
    put(draft, readAddress(value, 4, what));
  });
}

function address6(what: string, put: PutAddress): UserOption {
  return single("fec0::9", (value, draft) => {
    put(draft, readAddress(value, 6, what));
  });
}

/** QEMU's rule for ids, which are not kept: a stack needs no name. */
export function checkId(value: SourceText): void {
  if (/^[a-z][a-z0-9._-]*$/i.test(value.value)) return;
  const remedy = 'write a letter, then letters, digits, "-", "." or "_"';
  throw value.error(`the id is ${value.quoted}`, remedy);
}

function refuseSmb(_value: SourceText, _draft: UserDraft, name: SourceText): never {
  const problem = `the option ${name.quoted} is known, but there is no SMB server here`;
  const remedy = "leave it out, and reach a server of your own with guestfwd";
  throw name.error(problem, remedy, ErrorCode.unsupportedOption);
}

const IPV4_ROWS: [string, UserOption][] = [
  [
    "net",
    single("10.0.2.0/24", (value, { ipv4 }) => {
      Object.assign(ipv4, readIpv4Network(value));
    }),
  ],
  ["host", address4("gateway's address", ({ ipv4 }, address) => (ipv4.gateway = address))],
  ["dns", address4("name server's address", ({ ipv4 }, address) => (ipv4.nameServer = address))],
  ["dhcpstart", address4("DHCP start address", ({ ipv4 }, address) => (ipv4.dhcpStart = address))],
];

const IPV6_ROWS: [string, UserOption][] = [
  [
    "ipv6-net",
    single("fec0::/64", (value, { ipv6 }) => {
      const { network, prefixLength } = readIpv6Network(value);
      Object.assign(ipv6, { prefix: network, prefixLength });
    }),
  ],
  ["ipv6-prefix", address6("prefix", ({ ipv6 }, address) => (ipv6.prefix = address))],
  [
    "ipv6-prefixlen",
    single("64", (value, { ipv6 }) => {
      ipv6.prefixLength = readIpv6PrefixLength(value);
    }),
  ],
  ["ipv6-host", address6("gateway's address", ({ ipv6 }, address) => (ipv6.gateway = address))],
  [
    "ipv6-dns",
    address6("name server's address", ({ ipv6 }, address) => (ipv6.nameServer = address)),
  ],
];

const OTHER_ROWS: [string, UserOption][] = [
  ["id", single("net0", checkId)],
  [
    "ipv4",
    single("on", (value, draft) => {
      draft.ipv4On = readBoolean(value, QEMU_BOOLEANS);
    }),
  ],
  [
    "ipv6",
    single("on", (value, draft) => {
      draft.ipv6On = readBoolean(value, QEMU_BOOLEANS);
    }),
  ],
  ["restrict", flag("restricted")],
  ["hostname", text("guest", "hostname")],
  ["domainname", text("example.org", "domainName")],
  [
    "dnssearch",
    repeating("example.org", (value, { dnsSearch }) => dnsSearch.push(readText(value))),
  ],
  ["tftp", text("/srv/tftp", "tftpRoot")],
  ["tftp-server-name", text("10.0.2.2", "tftpServerName")],
  ["bootfile", text("pxelinux.0", "bootFile")],
  [
    "hostfwd",
    repeating("tcp::8080-:80", (value, draft) => draft.hostForwards.push(readHostForward(value))),
  ],
  [
    "guestfwd",
    repeating("tcp:10.0.2.100:80-tcp:127.0.0.1:8080", (value, draft) =>
      draft.guestForwards.push(readGuestForward(value)),
    ),
  ],
  ["smb", single("/srv/share", refuseSmb)],
  ["smbserver", single("10.0.2.4", refuseSmb)],
];

/** Those that QEMU does not have. */
const OUR_ROWS: [string, UserOption][] = [
  ["mtu", packetSize("mtuBytes")],
  ["mru", packetSize("mruBytes")],
  [
    "outbound-addr",
    address4("outbound address", ({ options }, address) => (options.outboundAddress = address)),
  ],
  [
    "outbound-addr6",
    address6("outbound address", ({ options }, address) => (options.outboundAddress6 = address)),
  ],
  ["disable-host-loopback", flag("disableHostLoopback")],
  ["disable-dns", flag("disableDns")],
  ["disable-dhcp", flag("disableDhcp")],
];

/** Every option, by name. */
export const USER_OPTIONS: ReadonlyMap<string, UserOption> = new Map([
  ...OTHER_ROWS,
  ...IPV4_ROWS,
  ...IPV6_ROWS,
  ...OUR_ROWS,
]);

/** Those that say something of one IP version, and so mean nothing where it is off. */
export const IPV4_OPTION_NAMES: ReadonlySet<string> = new Set(IPV4_ROWS.map(([name]) => name));
export const IPV6_OPTION_NAMES: ReadonlySet<string> = new Set(IPV6_ROWS.map(([name]) => name));
