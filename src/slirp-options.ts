/**
 * What a stack can be told: the options of the slirp backend, each with its unit, default and reason, and the forward
 * rules. `config` makes them of what people write, `slirp` acts on them; this file is where both meet.
 *
 * Defaults are QEMU's and bhyve's, so that a guest image that knows one of them works unchanged; `config/defaults.ts`
 * fills them in and refuses contradictions.
 */
import type { HostEndpoint, IpAddress } from "./address.js";

/** IPv4 side of the guest's network. */
export interface Ipv4Options {
  /** Network address. Default 10.0.2.0. */
  readonly network: IpAddress;
  /** Prefix length, 0 to 30 (a network needs room for gateway, name server and a guest). Default 24. */
  readonly prefixLength: number;
  /** The gateway; the host's loopback from the guest's view. Default: second address of the network (10.0.2.2). */
  readonly gateway: IpAddress;
  /** The virtual name server. Default: third address of the network (10.0.2.3). */
  readonly nameServer: IpAddress;
  /** First address that DHCP gives out. Default: fifteenth address of the network (10.0.2.15). */
  readonly dhcpStart: IpAddress;
}

/** IPv6 side of the guest's network. */
export interface Ipv6Options {
  /** Prefix that is advertised. Default fec0:: (QEMU's). */
  readonly prefix: IpAddress;
  /** Length of the prefix. Default 64: stateless autoconfiguration works with no other. */
  readonly prefixLength: number;
  /** The gateway. Default: prefix + 2. */
  readonly gateway: IpAddress;
  /** The virtual name server. Default: prefix + 3. */
  readonly nameServer: IpAddress;
}

/** A host port (or unix socket) whose connections or datagrams go to a port of the guest. */
export interface HostForward {
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
  readonly serverPort: number;
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
  /** Host name that DHCP tells the guest (at most 32 bytes). Default none. */
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
  /** Largest IP packet towards the guest, bytes, 68 to 65521. Default 1500. */
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
export interface ResolvedSlirpOptions
  extends Required<
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
  readonly ipv4: Ipv4Options | undefined;
  readonly ipv6: Ipv6Options | undefined;
  readonly hostname: string | undefined;
  readonly domainName: string | undefined;
  readonly tftpRoot: string | undefined;
  readonly tftpServerName: string | undefined;
  readonly bootFile: string | undefined;
  readonly outboundAddress: IpAddress | undefined;
  readonly outboundAddress6: IpAddress | undefined;
}
