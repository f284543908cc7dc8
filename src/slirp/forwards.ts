/**
 * Forwards: host ports that lead to the guest, and addresses of the guest's network that lead to the host.
 *
 * Binding is asynchronous in Node, and libslirp binds at once. So a host forward is bound first, and libslirp takes the bound
 * socket over in the moment it would bind (host_adopt_bound). It is told a loopback address of the guest's IP version
 * instead of the real one: a unix socket, or IPv6 in front of an IPv4 guest, is then a forward like any other.
 */
import { ipEndpoint, type HostEndpoint } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import {
  formatGuestForward,
  formatHostForward,
  type GuestForward,
  type HostForward,
} from "../slirp-options.js";
import { ipv4Word } from "./configure.js";
import { ResolvingDatagram } from "./resolving-datagram.js";
import { SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.js";
import type { BoundSocket } from "./socket-table.js";
import type { Stack } from "./stack.js";

/** SLIRP_HOSTFWD_UDP of libslirp.h. */
const UDP_FLAG = 1;

interface Entry {
  readonly forward: HostForward;
  readonly descriptor: number;
}

/** See the top of the file. */
export class Forwards {
  private readonly host: Entry[] = [];
  private readonly guest: GuestForward[] = [];
  private guestCount = 0;

  constructor(private readonly stack: Stack) {}

  /** The host forwards there are, with the ports that they really have. */
  list(): HostForward[] {
    return this.host.map(({ forward }) => forward);
  }

  /** The guest forwards there are. */
  listGuest(): GuestForward[] {
    return [...this.guest];
  }

  /**
   * Binds the host's side and tells libslirp. Answers the forward with the port that was found where 0 was asked for.
   * @throws SlirpError `forwardFailed` with the rule and the system's reason (EADDRINUSE, EACCES, …).
   */
  async add(forward: HostForward): Promise<HostForward> {
    const bound = await this.bind(forward);
    try {
      const descriptor = adoptBound(this.stack, forward, bound);
      if (descriptor < 0) {
        const text = `forward ${formatHostForward(forward)}: libslirp refuses it (errno ${String(-descriptor)})`;
        throw new SlirpError(ErrorCode.forwardFailed, text);
      }
      const real = { ...forward, host: bound.local };
      this.host.push({ forward: real, descriptor });
      return real;
    } catch (error) {
      bound.socket.close();
      throw error;
    }
  }

  /** Closes the host's side; connections that were made stay. @throws SlirpError `noSuchForward`. */
  remove(forward: HostForward): void {
    const text = formatHostForward(forward);
    const index = this.host.findIndex((entry) => formatHostForward(entry.forward) === text);
    const entry = this.host[index];
    if (!entry) {
      const there = this.host.map((other) => formatHostForward(other.forward)).join(", ") || "none";
      throw new SlirpError(
        ErrorCode.noSuchForward,
        `there is no forward ${text}; there are: ${there}`,
      );
    }
    this.host.splice(index, 1);
    removeAdopted(this.stack, entry.descriptor, forward.protocol === "udp");
  }

  /** @throws SlirpError `unsupportedOption` where the host network has no processes, `forwardFailed` where libslirp refuses. */
  addGuest(forward: GuestForward): void {
    const { stack } = this;
    const { exports } = stack.instance;
    this.checkGuestAddressFree(forward);
    const word = ipv4Word(forward.serverAddress);
    let result: number;
    if (forward.target.kind === "command") {
      if (!stack.table.network.openCommand) {
        const text = `guest forward ${formatGuestForward(forward)}: the host network "${stack.table.network.name}" has no processes`;
        throw new SlirpError(ErrorCode.unsupportedOption, text);
      }
      const command = stack.instance.allocateText(forward.target.commandLine);
      result = stack.call(() =>
        exports.api_add_guestfwd_command(command, word, forward.serverPort),
      );
      exports.free(command);
    } else {
      const name = `guestfwd-${String(this.guestCount++)}`;
      stack.guestForwardTargets.set(name, forward.target.endpoint);
      const text = stack.instance.allocateText(name);
      result = stack.call(() => exports.api_add_guestfwd_connect(text, word, forward.serverPort));
      exports.free(text);
    }
    if (result < 0) {
      const text = `guest forward ${formatGuestForward(forward)}: the address must lie in the guest's network, be neither gateway nor name server, and have no forward yet`;
      throw new SlirpError(ErrorCode.forwardFailed, text);
    }
    this.guest.push(forward);
  }

  /** libslirp compares ports of different byte order here and finds no duplicate. */
  private checkGuestAddressFree({ serverAddress, serverPort }: GuestForward): void {
    const taken = this.guest.find(
      (other) =>
        other.serverPort === serverPort && other.serverAddress.address === serverAddress.address,
    );
    if (!taken) return;
    const text = `guest forward: ${serverAddress.address} port ${String(serverPort)} has one already, ${formatGuestForward(taken)}`;
    throw new SlirpError(ErrorCode.forwardFailed, text);
  }

  private async bind(forward: HostForward): Promise<BoundSocket> {
    const { network } = this.stack.table;
    const { host, guestFamily } = forward;
    const options = { ipv6Only: true };
    try {
      if (forward.protocol === "tcp") {
        const socket = await network.listenStream(host, options);
        return { kind: "listener", socket, local: localOf(socket, host), guestFamily };
      }
      if (host.family === "unix" || host.family !== guestFamily) {
        throw new Error("a UDP forward needs the same IP version on both sides");
      }
      const socket = await network.bindDatagram(host, options);
      const datagram = new ResolvingDatagram(network, host.family, socket);
      return { kind: "datagram", socket: datagram, local: localOf(socket, host), guestFamily };
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SlirpError(
        ErrorCode.forwardFailed,
        `forward ${formatHostForward(forward)}: ${reason}`,
        { cause },
      );
    }
  }
}

/** What libslirp has to know of a host forward. */
export type ForwardToGuest = Pick<
  HostForward,
  "protocol" | "guestAddress" | "guestFamily" | "guestPort"
>;

/** Has libslirp take a bound socket over. Answers its descriptor there, or an errno made negative. */
export function adoptBound(stack: Stack, forward: ForwardToGuest, bound: BoundSocket): number {
  const loopback = ipEndpoint(forward.guestFamily === 4 ? "127.0.0.1" : "::1", 1);
  const any = ipEndpoint(forward.guestFamily === 4 ? "0.0.0.0" : "::", forward.guestPort);
  const guest = forward.guestAddress ? ipEndpoint(forward.guestAddress, forward.guestPort) : any;
  stack.table.offered = bound;
  const result = stack.call(() =>
    stack.instance.withBytes(new Uint8Array(2 * SOCKET_ADDRESS_BYTES), (pointer) => {
      writeSocketAddress(stack.instance.HEAPU8, pointer, loopback);
      writeSocketAddress(stack.instance.HEAPU8, pointer + SOCKET_ADDRESS_BYTES, guest);
      const guestPointer = (pointer + SOCKET_ADDRESS_BYTES) as typeof pointer;
      const flags = forward.protocol === "udp" ? UDP_FLAG : 0;
      return stack.instance.exports.api_add_hostfwd(pointer, guestPointer, flags);
    }),
  );
  stack.table.offered = undefined;
  return result < 0 ? result : stack.table.adoptedDescriptor;
}

/** Has libslirp close what {@link adoptBound} gave it; connections that were made stay. */
export function removeAdopted(stack: Stack, descriptor: number, isUdp: boolean): void {
  stack.call(() => stack.instance.exports.api_remove_hostfwd(descriptor, Number(isUdp)));
}

function localOf(
  socket: { readonly localEndpoint: HostEndpoint | undefined },
  asked: HostEndpoint,
): HostEndpoint {
  return socket.localEndpoint ?? asked;
}
