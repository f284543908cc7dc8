/**
 * The module's calls about TCP and unix streams (wasm/host.h): connect, accept, send, receive, shut down.
 */
import { ipEndpoint, type HostEndpoint, type IpEndpoint, type IpFamily } from "../address.js";
import { Errno } from "../host-network.js";
import type { HostCallContext } from "./host-call-context.js";
import type { HostCalls } from "./module-instance.js";
import { isResolverPlaceholder, resolverFor } from "./name-server.js";
import { readIpEndpoint, readSocketAddress, writeSocketAddress } from "./socket-address.js";

/** Where a connection goes: names of guest forwards and the virtual name server are looked up now. */
function resolveTarget(context: HostCallContext, address: number): HostEndpoint | undefined {
  const target = readSocketAddress(context.instance.HEAPU8, address);
  if (target.family === "unix") return context.guestForwardTarget(target.path);
  return isResolverPlaceholder(target) ? resolverFor(context.table.network, 0) : target;
}

/** See the top of the file. */
export function streamCalls(context: HostCallContext): HostCalls {
  const { instance, table } = context;
  const { network } = table;
  return {
    host_connect: (descriptor: number, address: number, localAddress: number) => {
      const target = resolveTarget(context, address);
      if (!target) return -Errno.ECONNREFUSED;
      const local = readIpEndpoint(instance.HEAPU8, localAddress);
      // An address to leave from binds one IP version; the resolver may have the other.
      const options = local && local.family === target.family ? { local } : {};
      const stream = network.connectStream(target, options);
      if (typeof stream === "number") return stream;
      table.put(descriptor, { kind: "stream", socket: stream });
      return -Errno.EINPROGRESS;
    },
    host_spawn: (descriptor: number, text: number, length: number) => {
      const stream = network.openCommand?.(instance.textAt(text, length)) ?? -Errno.ENOSYS;
      if (typeof stream === "number") return stream;
      table.put(descriptor, { kind: "stream", socket: stream });
      return 0;
    },
    host_send: (
      descriptor: number,
      first: number,
      firstLength: number,
      second: number,
      secondLength: number,
    ) => {
      const stream = table.stream(descriptor);
      if (!stream) return -Errno.EBADF;
      const bytes = instance.bytesAt(first, firstLength);
      return secondLength > 0
        ? stream.send(bytes, instance.bytesAt(second, secondLength))
        : stream.send(bytes);
    },
    host_receive: (descriptor: number, target: number, length: number) =>
      table.stream(descriptor)?.receive(instance.bytesAt(target, length)) ?? -Errno.EBADF,
    host_shutdown_write: (descriptor: number) => {
      table.stream(descriptor)?.shutdownWrite();
      return 0;
    },
    host_accept: (descriptor: number, accepted: number, peer: number) => {
      const listener = table.get(descriptor);
      const stream = listener?.kind === "listener" ? listener.socket.accept() : undefined;
      if (listener?.kind !== "listener" || !stream) return -Errno.EAGAIN;
      table.put(accepted, { kind: "stream", socket: stream });
      const seen = seenByGuest(stream.remoteEndpoint, listener.guestFamily);
      writeSocketAddress(instance.HEAPU8, peer, seen);
      return 0;
    },
  };
}

/**
 * A peer in the IP version of the guest: himself where he speaks it, else the host's loopback, which the stack shows to the guest as
 * its gateway (a unix socket, or IPv6 in front of an IPv4 guest).
 */
function seenByGuest(peer: HostEndpoint | undefined, family: IpFamily): IpEndpoint {
  if (peer?.family === family) return peer;
  const port = peer === undefined || peer.family === "unix" ? nextPeerPort() : peer.port;
  return ipEndpoint(family === 4 ? "127.0.0.1" : "::1", port);
}

let peerPort = 0;

/** A port for a peer that has none: connections of one forward must differ in the guest's eyes (RFC 6335's dynamic ports). */
function nextPeerPort(): number {
  peerPort = (peerPort + 1) % 16384;
  return 49152 + peerPort;
}
