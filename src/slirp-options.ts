/**
 * What a stack can be told: the options of the slirp backend, each with its unit, default and reason, and the forward
 * rules. `config` makes them of what people write, `slirp` acts on them; this file is where both meet.
 *
 * Defaults are QEMU's and bhyve's, so that a guest image that knows one of them works unchanged; `config/defaults.ts`
 * fills them in and refuses contradictions.
 */
import { formatEndpoint, type HostEndpoint, type IpAddress } from "./address.js";

/**
 * IPv4 side of the guest's network. The defaults of the addresses are QEMU's: the network with the host number of 10.0.2.2,
 * 10.0.2.3 and 10.0.2.15 in it, so 192.168.76.2 in 192.168.76.0/24 and 172.16.2.2 in 172.16.0.0/16.
 */
export interface Ipv4Options {
  /** Network address, no bit set beyond the prefix. Default 10.0.2.0. */
  readonly network: IpAddress;
  /** Prefix length, 4 to 30: QEMU's lower limit, and room for gateway and guest. Default 24. */
  readonly prefixLength: number;
  /** The gateway; the host's loopback from the guest's view. Default 10.0.2.2 or its like, see above. */
  readonly gateway: IpAddress;
  /**
   * The virtual name server. Default 10.0.2.3 or its like. May lie outside the network, where the stack is not restricted:
   * the guest reaches it by the gateway.
   */
  readonly nameServer: IpAddress;
  /**
   * First of the 16 addresses that DHCP gives out. Default 10.0.2.15 or its like; in a network too small for that (prefix
   * length 28 or more) the first free address behind gateway and name server, else the first free one.
   */
  readonly dhcpStart: IpAddress;
}

/** IPv6 side of the guest's network. */
export interface Ipv6Options {
  /** Prefix that is advertised, no bit set beyond 64. Default fec0:: (QEMU's). */
  readonly prefix: IpAddress;
  /** Length of the prefix. 64 and nothing else: a guest's only way to an address is autoconfiguration (RFC 4862). */
  readonly prefixLength: number;
  /** The gateway. Default: prefix + 2. */
  readonly gateway: IpAddress;
  /** The virtual name server. Default: prefix + 3. May lie outside the prefix, where the stack is not restricted. */
  readonly nameServer: IpAddress;
}

/** A host port (or unix socket) whose connections or datagrams go to a port of the guest. */
export interface HostForward {
  /** `tcp` takes connections, `udp` datagrams. */
  readonly protocol: "tcp" | "udp";
  /** Where the host listens: an address with a port (0: any free one), or a unix stream socket (TCP only). */
  readonly host: HostEndpoint;
  /** The guest's address; undefined: the first address that DHCP gives out (IPv4), the guest seen first (IPv6). */
  readonly guestAddress: IpAddress | undefined;
  /** IP version towards the guest. Same as `guestAddress` where that is given. */
  readonly guestFamily: 4 | 6;
  /** 1 to 65535. */
  readonly guestPort: number;
}

/** An address inside the guest's network whose TCP connections go to something on the host. */
export interface GuestForward {
  /** IPv4 address inside the network, neither the gateway nor the name server. */
  readonly serverAddress: IpAddress;
  /** 1 to 65535. */
  readonly serverPort: number;
  /** Where its connections go. */
  readonly target:
    /** Connects each time to this endpoint. */
    | { readonly kind: "connect"; readonly endpoint: HostEndpoint }
    /** Runs this command line for each connection, its standard input and output being the connection. */
    | { readonly kind: "command"; readonly commandLine: string };
}

/** Everything a stack can be told when it is made. All are optional; `resolveSlirpOptions` in config fills in the rest. */
export interface SlirpOptions {
  /** IPv4, or false for none. Default: on, with the defaults above. */
  readonly ipv4?: Partial<Ipv4Options> | false;
  /** IPv6, or false for none. Default: on, with the defaults above. */
  readonly ipv6?: Partial<Ipv6Options> | false;
  /** No traffic leaves the guest's network; forwards still work. Default false. */
  readonly restricted?: boolean;
  /** The guest may not reach the host's loopback through the gateway. Default false, as in QEMU. */
  readonly disableHostLoopback?: boolean;
  /** The virtual name server is not served. Default false. */
  readonly disableDns?: boolean;
  /** No DHCP answers. Default false. */
  readonly disableDhcp?: boolean;
  /** Host name that DHCP tells the guest (at most 32 bytes: libslirp cuts longer ones). Default none. */
  readonly hostname?: string;
  /** Domain name that DHCP tells the guest. Default none. */
  readonly domainName?: string;
  /** Search domains that DHCP tells the guest. Default none. */
  readonly dnsSearch?: readonly string[];
  /** Folder that TFTP serves, read-only. Default none: TFTP answers nothing. */
  readonly tftpRoot?: string;
  /** Server name in DHCP's TFTP server name option (66). Default none. */
  readonly tftpServerName?: string;
  /** Boot file that DHCP names, below 128 bytes. Default none. */
  readonly bootFile?: string;
  /** Largest IP packet towards the guest, bytes, 68 (with IPv6: 1280) to 65521. Default 1500. */
  readonly mtuBytes?: number;
  /** Largest IP packet from the guest, bytes, 68 to 65521. Default: `mtuBytes`, at least 1500. */
  readonly mruBytes?: number;
  /** IPv4 address that connections leave from. Default: the system chooses. */
  readonly outboundAddress?: IpAddress;
  /** IPv6 address that connections leave from. Default: the system chooses. */
  readonly outboundAddress6?: IpAddress;
  /** libslirp's rewriting of FTP, IRC and the like inside TCP streams. Default false: libslirp's own warning says unsafe. */
  readonly enableEmu?: boolean;
  /** NC-SI manufacturer id (IANA private enterprise number). Default 0. */
  readonly ncsiManufacturerId?: number;
  /** MAC of an out-of-band management controller, told through NC-SI; 6 bytes. Default zeros. */
  readonly ncsiOutOfBandMac?: Uint8Array;
  /** Host ports open from the start. Default none. */
  readonly hostForwards?: readonly HostForward[];
  /** Guest-side servers from the start. Default none. */
  readonly guestForwards?: readonly GuestForward[];
}

/** {@link SlirpOptions} with every default filled in and every contradiction refused: what the stack itself takes. */
export interface ResolvedSlirpOptions extends Required<
  Omit<
    SlirpOptions,
    | "ipv4"
    | "ipv6"
    | "hostname"
    | "domainName"
    | "tftpRoot"
    | "tftpServerName"
    | "bootFile"
    | "outboundAddress"
    | "outboundAddress6"
  >
> {
  /** Undefined: IPv4 is off. */
  readonly ipv4: Ipv4Options | undefined;
  /** Undefined: IPv6 is off. */
  readonly ipv6: Ipv6Options | undefined;
  /** Undefined: the guest is told none. */
  readonly hostname: string | undefined;
  /** Undefined: the guest is told none. */
  readonly domainName: string | undefined;
  /** Undefined: there is no TFTP server. */
  readonly tftpRoot: string | undefined;
  /** Undefined: the guest is told none. */
  readonly tftpServerName: string | undefined;
  /** Undefined: the guest is told none. */
  readonly bootFile: string | undefined;
  /** Undefined: the host chooses. */
  readonly outboundAddress: IpAddress | undefined;
  /** Undefined: the host chooses. */
  readonly outboundAddress6: IpAddress | undefined;
}

/**
 * Prints a rule the way people write it: `tcp::8080-:80`, `udp:127.0.0.1:53-10.0.2.15:53`, `tcp:[::1]:8080-[]:80`,
 * `unix:/run/web.sock-:80`. The any address of IPv4 and a guest address that is not given are left out. `parseHostForward`
 * in config reads the same rule back.
 */
export function formatHostForward(forward: HostForward): string {
  return `${formatHostSide(forward)}-${formatGuestSide(forward)}`;
}

function formatHostSide({ protocol, host }: HostForward): string {
  if (host.family === "unix") return formatEndpoint(host);
  if (host.address === "0.0.0.0") return `${protocol}::${String(host.port)}`;
  return `${protocol}:${formatEndpoint(host)}`;
}

function formatGuestSide({ guestAddress, guestFamily, guestPort }: HostForward): string {
  if (guestAddress !== undefined) return formatEndpoint({ ...guestAddress, port: guestPort });
  return `${guestFamily === 6 ? "[]" : ""}:${String(guestPort)}`;
}

/**
 * Prints a rule the way people write it: `tcp:10.0.2.100:80-tcp:127.0.0.1:8080`, `tcp:10.0.2.100:80-cmd:/bin/cat`. Commas
 * of a unix path are doubled, as QEMU's character devices have it. `parseGuestForward` in config reads the same rule back.
 */
export function formatGuestForward({ serverAddress, serverPort, target }: GuestForward): string {
  return `tcp:${formatEndpoint({ ...serverAddress, port: serverPort })}-${formatTarget(target)}`;
}

function formatTarget(target: GuestForward["target"]): string {
  if (target.kind === "command") return `cmd:${target.commandLine}`;
  if (target.endpoint.family !== "unix") return `tcp:${formatEndpoint(target.endpoint)}`;
  return `unix:${target.endpoint.path.replaceAll(",", ",,")}`;
}
