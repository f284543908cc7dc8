/** What `slirp-wasm netns` says of itself. */
import type { NetnsOptions } from "./netns-options.js";

/**
 * The usage. Container engines look here for the names of options to learn what can be asked for, so that every name must stand in it.
 */
export function usageText(program: string): string {
  return `Usage: ${program} [OPTION]... PID|PATH|FD [TAPNAME]
A network without privileges for a network namespace: libslirp in WebAssembly, with the command line of slirp4netns.

-c, --configure          bring the interface up, with address, route, MTU
-e, --exit-fd=FD         end when the other side of this descriptor is closed
-r, --ready-fd=FD        write "1" to this descriptor when all is ready, and close it
-m, --mtu=MTU            largest packet, bytes (default=1500, max=65521)
-6, --enable-ipv6        IPv6 too: fd00::/64, gateway fd00::2, DNS fd00::3
-a, --api-socket=PATH    serve the API that opens and closes host ports, at this path
--cidr=CIDR              the network (default=10.0.2.0/24, prefix 1 to 25)
--disable-host-loopback  do not let the guest reach 127.0.0.1 of the host through the gateway
--netns-type=TYPE        what the argument names: pid, path, tapfd (default=pid)
--userns-path=PATH       user namespace to join (default: the process's)
--enable-sandbox         read only program, /etc and /run; no capability but CAP_NET_BIND_SERVICE
--enable-seccomp         allow only the system calls that a running network needs
--outbound-addr=IPv4     address, or interface, that connections leave from
--outbound-addr6=IPv6    the same for IPv6
--disable-dns            no name server at 10.0.2.3
--macaddress=MAC         MAC address of the TAP (only with -c)
--target-type=TYPE       netns or bess (default=netns); bess: serve one User Mode Linux at the socket PATH
--busy-poll=US           ask for frames that long before sleeping, microseconds, where it pays (default=100, 0: never)
-h, --help               show this help and exit
-v, --version            show version and exit

What calls slirp4netns can be given this: by a link of that name to slirp-wasm (ln -s "$(command -v slirp-wasm)" slirp4netns), found
before it on PATH or named in the caller's configuration (Podman: network_cmd_path; RootlessKit: --slirp4netns-binary).
`;
}

/** The version. The lines that scripts look for have slirp4netns's form. */
export function versionText(version: string, libslirpVersion: string): string {
  return `slirp-wasm version ${version}, in place of slirp4netns
libslirp: ${libslirpVersion}
SLIRP_CONFIG_VERSION_MAX: 5
libseccomp: none, the filter is our own
Node.js: ${process.versions.node}
`;
}

/** What is said when the stack runs. */
export function startText(options: NetnsOptions): string {
  const { network, mtuBytes } = options;
  const lines = [
    "Starting slirp",
    `* MTU:             ${String(mtuBytes)}`,
    `* Network:         ${network.network.address}`,
    `* Netmask:         ${netmaskText(network.prefixLength)}`,
    `* Gateway:         ${network.gateway.address}`,
    `* DNS:             ${network.nameServer.address}`,
    `* DHCP begin:      ${network.dhcpStart.address}`,
    `* DHCP end:        ${network.dhcpEnd.address}`,
    `* Recommended IP:  ${network.guest.address}`,
  ];
  if (options.enableIpv6) lines.push("* IPv6:            fd00::/64, gateway fd00::2, DNS fd00::3");
  if (options.outboundAddress) {
    lines.push(`* Outbound IPv4:    ${options.outboundAddress.address}`);
  }
  if (options.outboundAddress6) {
    lines.push(`* Outbound IPv6:    ${options.outboundAddress6.address}`);
  }
  if (!options.disableHostLoopback) {
    lines.push(
      `WARNING: 127.0.0.1:* on the host is accessible as ${network.gateway.address} ` +
        "(set --disable-host-loopback to prohibit connecting to 127.0.0.1:*)",
    );
  }
  return `${lines.join("\n")}\n`;
}

function netmaskText(prefixLength: number): string {
  const mask = 2 ** 32 - 2 ** (32 - prefixLength);
  return [24, 16, 8, 0].map((shift) => Math.floor(mask / 2 ** shift) % 256).join(".");
}
