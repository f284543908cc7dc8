/**
 * The functions that the module imports (wasm/host.h): libslirp's socket calls, carried out on the host network.
 *
 * Every answer is 0 or a count, or an errno made negative. Nothing here calls into the module again, and nothing throws: an
 * exception would pass through C and leave the stack in pieces.
 */
import { ipEndpoint, type HostEndpoint, type IpEndpoint, type IpFamily } from "../address.js";
import { Errno, type DatagramSource } from "../host-network.js";
import type { HostCalls, ModuleInstance } from "./module-instance.js";
import { isResolverPlaceholder, resolverFor } from "./name-server.js";
import { ResolvingDatagram } from "./resolving-datagram.js";
import { AddressFamily, isSocketAddressOf, readSocketAddress, writeSocketAddress } from "./socket-address.js";
import type { SocketTable } from "./socket-table.js";

/** Kinds of descriptors (enum descriptor_kind of wasm/descriptors.h) that are opened here. */
const ECHO_DESCRIPTOR = 4;
const MAX_FILE_SIZE_ANSWER = 0x7fffffff;

/** What the calls need beyond the sockets. */
export interface HostCallContext {
  readonly instance: ModuleInstance;
  readonly table: SocketTable;
  /** Frames towards the guest are to be handed over now. */
  deliver(): void;
  log(level: number, text: string): void;
  /** Where a guest forward of this name connects to. */
  guestForwardTarget(name: string): HostEndpoint | undefined;
  /** Bytes from the guest for the guest channel of this number. */
  guestChannelData(id: number, bytes: Uint8Array): void;
}

/** Makes the import object's functions. */
export function createHostCalls(context: HostCallContext): HostCalls {
  return { ...streamCalls(context), ...datagramCalls(context), ...otherCalls(context) };
}

/** An address to leave from, or undefined for NULL. */
function readLocal(memory: Uint8Array, pointer: number): IpEndpoint | undefined {
  if (pointer === 0) return undefined;
  const endpoint = readSocketAddress(memory, pointer);
  return endpoint.family === "unix" ? undefined : endpoint;
}

/** Where a connection goes: names of guest forwards and the virtual name server are looked up now. */
function resolveTarget(context: HostCallContext, address: number): HostEndpoint | undefined {
  const target = readSocketAddress(context.instance.HEAPU8, address);
  if (target.family === "unix") return context.guestForwardTarget(target.path);
  return isResolverPlaceholder(target) ? resolverFor(context.table.network, 0) : target;
}

function streamCalls(context: HostCallContext): HostCalls {
  const { instance, table } = context;
  const { network } = table;
  return {
    host_connect: (descriptor: number, address: number, localAddress: number) => {
      const target = resolveTarget(context, address);
      if (!target) return -Errno.ECONNREFUSED;
      const local = readLocal(instance.HEAPU8, localAddress);
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
    host_send: (descriptor: number, first: number, firstLength: number, second: number, secondLength: number) => {
      const stream = table.stream(descriptor);
      if (!stream) return -Errno.EBADF;
      const bytes = instance.bytesAt(first, firstLength);
      return secondLength > 0 ? stream.send(bytes, instance.bytesAt(second, secondLength)) : stream.send(bytes);
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

function datagramCalls(context: HostCallContext): HostCalls {
  const { instance, table } = context;
  const { network } = table;
  const source: DatagramSource = { endpoint: undefined };
  /** The destination used last, by descriptor: most sockets have one. */
  const lastRemote: (IpEndpoint | undefined)[] = [];
  const remoteAt = (descriptor: number, address: number): IpEndpoint | undefined => {
    const known = lastRemote[descriptor];
    if (known && isSocketAddressOf(instance.HEAPU8, address, known)) return known;
    const remote = readSocketAddress(instance.HEAPU8, address);
    return remote.family === "unix" ? undefined : (lastRemote[descriptor] = remote);
  };
  return {
    host_open_datagram: (descriptor: number, kind: number, family: number, localAddress: number) => {
      const version: IpFamily = family === AddressFamily.ipv6 ? 6 : 4;
      const local = readLocal(instance.HEAPU8, localAddress);
      const socket =
        kind === ECHO_DESCRIPTOR ? network.openEcho(version) : network.openDatagram(version, local ? { local } : {});
      if (typeof socket === "number") return socket;
      table.put(descriptor, { kind: "datagram", socket: new ResolvingDatagram(network, version, socket) });
      return 0;
    },
    host_send_to: (descriptor: number, bytes: number, length: number, address: number) => {
      const socket = table.datagram(descriptor);
      const remote = remoteAt(descriptor, address);
      if (!socket || !remote) return -Errno.EBADF;
      return socket.sendTo(instance.bytesAt(bytes, length), remote);
    },
    host_next_length: (descriptor: number) => table.datagram(descriptor)?.nextLength() ?? -Errno.EBADF,
    host_receive_from: (descriptor: number, target: number, length: number, address: number) => {
      const length_ = table.datagram(descriptor)?.receiveFrom(instance.bytesAt(target, length), source);
      if (length_ === undefined) return -Errno.EBADF;
      if (length_ >= 0 && source.endpoint) writeSocketAddress(instance.HEAPU8, address, source.endpoint);
      return length_;
    },
  };
}

function otherCalls(context: HostCallContext): HostCalls {
  const { instance, table } = context;
  return {
    host_adopt_bound: (descriptor: number) => {
      const bound = table.offered;
      if (!bound) return -Errno.EADDRNOTAVAIL;
      table.offered = undefined;
      table.adoptedDescriptor = descriptor;
      table.put(descriptor, bound);
      return 0;
    },
    host_close: (descriptor: number, abort: number) => {
      const entry = table.take(descriptor);
      if (entry?.kind === "stream" && abort !== 0) entry.socket.reset();
      else entry?.socket.close();
      return undefined;
    },
    host_take_error: (descriptor: number) => {
      const entry = table.get(descriptor);
      return entry && entry.kind !== "file" && "takeError" in entry.socket ? entry.socket.takeError() : 0;
    },
    host_local_address: (descriptor: number, address: number) => {
      const entry = table.get(descriptor);
      if (!entry || entry.kind === "file") return -Errno.EBADF;
      const local = entry.socket.localEndpoint;
      const family = entry.kind === "stream" ? undefined : entry.guestFamily;
      const seen = local && local.family !== "unix" && (family ?? local.family) === local.family ? local : undefined;
      writeSocketAddress(instance.HEAPU8, address, seen ?? ipEndpoint(family === 6 ? "::1" : "127.0.0.1", 0));
      return 0;
    },
    host_open_file: (descriptor: number, path: number, length: number) => {
      const file = table.network.openFile?.(instance.textAt(path, length)) ?? -Errno.ENOENT;
      if (typeof file === "number") return file;
      table.put(descriptor, { kind: "file", socket: file });
      return Math.min(file.sizeBytes, MAX_FILE_SIZE_ANSWER);
    },
    host_read_file: (descriptor: number, target: number, length: number, position: number) => {
      const entry = table.get(descriptor);
      return entry?.kind === "file" ? entry.socket.read(instance.bytesAt(target, length), position) : -Errno.EBADF;
    },
    host_deliver: () => {
      context.deliver();
      return undefined;
    },
    host_log: (level: number, text: number, length: number) => {
      context.log(level, instance.textAt(text, length));
      return undefined;
    },
    host_guestfwd_data: (id: number, bytes: number, length: number) => {
      context.guestChannelData(id, instance.bytesAt(bytes, length));
      return undefined;
    },
  };
}

