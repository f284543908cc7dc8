/**
 * The module's calls about UDP and ICMP echo (wasm/host.h).
 */
import type { IpEndpoint, IpFamily } from "../address.js";
import { Errno, type DatagramSource } from "../host-network.js";
import type { HostCallContext } from "./host-call-context.js";
import type { HostCalls } from "./module-instance.js";
import { ResolvingDatagram } from "./resolving-datagram.js";
import {
  AddressFamily,
  isSocketAddressOf,
  readIpEndpoint,
  writeSocketAddress,
} from "./socket-address.js";

/** DESCRIPTOR_ECHO of wasm/descriptors.h. */
const ECHO_DESCRIPTOR = 4;

/** See the top of the file. */
export function datagramCalls(context: HostCallContext): HostCalls {
  const { instance, table } = context;
  const { network } = table;
  const source: DatagramSource = { endpoint: undefined };
  /** The destination used last, by descriptor: most sockets have one. */
  const lastRemote: (IpEndpoint | undefined)[] = [];
  const remoteAt = (descriptor: number, address: number): IpEndpoint | undefined => {
    const known = lastRemote[descriptor];
    if (known && isSocketAddressOf(instance.HEAPU8, address, known)) return known;
    const remote = readIpEndpoint(instance.HEAPU8, address);
    lastRemote[descriptor] = remote;
    return remote;
  };
  return {
    host_open_datagram: (
      descriptor: number,
      kind: number,
      family: number,
      localAddress: number,
    ) => {
      const version: IpFamily = family === AddressFamily.ipv6 ? 6 : 4;
      const local = readIpEndpoint(instance.HEAPU8, localAddress);
      const socket =
        kind === ECHO_DESCRIPTOR
          ? network.openEcho(version)
          : network.openDatagram(version, local ? { local } : {});
      if (typeof socket === "number") return socket;
      table.put(descriptor, {
        kind: "datagram",
        socket: new ResolvingDatagram(network, version, socket),
      });
      return 0;
    },
    host_send_to: (descriptor: number, bytes: number, length: number, address: number) => {
      const socket = table.datagram(descriptor);
      const remote = remoteAt(descriptor, address);
      if (!socket || !remote) return -Errno.EBADF;
      return socket.sendTo(instance.bytesAt(bytes, length), remote);
    },
    host_next_length: (descriptor: number) =>
      table.datagram(descriptor)?.nextLength() ?? -Errno.EBADF,
    host_receive_from: (descriptor: number, target: number, length: number, address: number) => {
      const received = table
        .datagram(descriptor)
        ?.receiveFrom(instance.bytesAt(target, length), source);
      if (received === undefined) return -Errno.EBADF;
      if (received >= 0 && source.endpoint)
        writeSocketAddress(instance.HEAPU8, address, source.endpoint);
      return received;
    },
  };
}
