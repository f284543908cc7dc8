/**
 * Connections from JavaScript to ports of the guest, without a socket on the host.
 *
 * libslirp connects to the guest for one reason only: a forward's listener has somebody to accept. So each connection is a forward of its
 * own for a moment, whose listener lies in memory, gives libslirp one stream (guest-stream.ts) and is removed. It stands
 * in no list of forwards and takes no port of the host.
 *
 * To the guest the connections come from the gateway, as those of forwards do that begin on the host's loopback. Their ports are below those
 * that systems hand out by themselves (32768 and up on Linux, RFC 6335's 49152 elsewhere), so that they meet no forward's.
 */
import { formatEndpoint, ipEndpoint, parseIpAddress } from "../address.js";
import type { IpEndpoint, IpFamily } from "../address.js";
import { ChunkPool } from "../byte-queue.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { Readiness, type HostListener } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import type { GuestConnectOptions, GuestSocket } from "../slirp-backend.js";
import type { ResolvedSlirpOptions } from "../slirp-options.js";
import { adoptBound, removeAdopted } from "./forwards.js";
import { StreamSocket } from "./guest-socket.js";
import type { GuestStream } from "./guest-stream.js";
import type { Stack } from "./stack.js";

const FIRST_PORT = 16_384;
const PORT_COUNT = 16_384;

/** libslirp gives up a handshake after 75 s (TCPTV_KEEP_INIT, RFC 1122 4.2.3.5 wants more for data); its clock has half seconds. */
const HANDSHAKE_MS = 74_000;

/** Accepts the one stream that it was made with. */
class StreamListener extends ReadinessSource implements HostListener {
  readonly localEndpoint: IpEndpoint;
  #stream: GuestStream | undefined;

  constructor(
    family: IpFamily,
    stream: GuestStream,
    private readonly onAccepted: () => void,
  ) {
    super();
    this.localEndpoint = loopback(family, 0);
    this.#stream = stream;
    this.raise(Readiness.readable);
  }

  accept(): GuestStream | undefined {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream) this.onAccepted();
    return stream;
  }

  /** The forward is removed, or the stack ends. */
  close(): void {
    this.silence();
    const stream = this.accept();
    stream?.close();
  }
}

function loopback(family: IpFamily, port: number): IpEndpoint {
  return ipEndpoint(family === 4 ? "127.0.0.1" : "::1", port);
}

/** See the top of the file. */
export class GuestConnections {
  private readonly pool = new ChunkPool();
  private readonly ports = new Set<number>();
  private lastPort = 0;

  /** `endReason` says why the stack has ended, where it has. */
  constructor(
    private readonly stack: Stack,
    private readonly options: ResolvedSlirpOptions,
    private readonly endReason: () => SlirpError | undefined,
  ) {}

  /** See `Slirp.connect`. */
  async connect(options: GuestConnectOptions): Promise<GuestSocket> {
    const { signal } = options;
    signal?.throwIfAborted();
    const remote = this.readTarget(options);
    // A NIC's callback may ask, which the module itself has called.
    while (this.stack.isBusy) await Promise.resolve();
    const ended = this.endReason();
    if (ended) throw ended;
    const socket = this.open(remote, options.address === undefined);
    const onAbort = (): void => {
      socket.abort(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const forget = (): void => {
      signal?.removeEventListener("abort", onAbort);
    };
    socket.closed.then(forget, forget);
    await socket.opened;
    return socket;
  }

  private readTarget({ port, address }: GuestConnectOptions): IpEndpoint {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw refuse(`port ${String(port)} is none: choose 1 to 65535`);
    }
    const { ipv4, ipv6 } = this.options;
    if (address === undefined) {
      return ipv4 ? ipEndpoint(ipv4.dhcpStart, port) : ipEndpoint("::", port);
    }
    const target = typeof address === "string" ? parseIpAddress(address) : address;
    if (!target) {
      throw refuse(
        `"${address as string}" is not an IP address; names of guests are not known here`,
      );
    }
    const network = target.family === 4 ? ipv4 : ipv6;
    if (!network) {
      throw refuse(`${target.address} is IPv${String(target.family)}, which is off`);
    }
    if ([network.gateway.address, network.nameServer.address].includes(target.address)) {
      throw refuse(`${target.address} is the stack's own address, not a guest's`);
    }
    return ipEndpoint(target, port);
  }

  private open(remote: IpEndpoint, isDefault: boolean): StreamSocket {
    const { stack, options, ports } = this;
    const { family, port: guestPort } = remote;
    const port = this.takePort();
    const gateway = (family === 4 ? options.ipv4 : options.ipv6)?.gateway;
    const startMs = stack.table.network.nowMs();
    const socket = new StreamSocket(
      loopback(family, port),
      { remote, local: gateway ? ipEndpoint(gateway, port) : loopback(family, port) },
      this.pool,
      (wasOpen, inOrder) =>
        this.endReason() ?? this.explain(remote, wasOpen, inOrder, isDefault, startMs),
    );
    const free = (): void => {
      ports.delete(port);
    };
    socket.closed.then(free, free);
    let descriptor = -1;
    const listener = new StreamListener(family, socket.stream, () => {
      // Not now: libslirp is accepting on it.
      queueMicrotask(() => {
        if (descriptor >= 0) this.removeListener(descriptor);
      });
    });
    const guestAddress = remote.address === "::" ? undefined : remote;
    descriptor = adoptBound(
      stack,
      { protocol: "tcp", guestAddress, guestFamily: family, guestPort },
      { kind: "listener", socket: listener, local: listener.localEndpoint, guestFamily: family },
    );
    if (descriptor < 0) {
      const text = `connect ${formatEndpoint(remote)}: libslirp refuses it (errno ${String(-descriptor)})`;
      socket.abort(new SlirpError(ErrorCode.guestUnreachable, text));
    }
    return socket;
  }

  private removeListener(descriptor: number): void {
    if (this.endReason()) return;
    try {
      removeAdopted(this.stack, descriptor, false);
    } catch {
      // The stack has just ended itself; it tells that to its owner, and its sockets are closed.
    }
  }

  private takePort(): number {
    do this.lastPort = (this.lastPort + 1) % PORT_COUNT;
    while (this.ports.has(FIRST_PORT + this.lastPort) && this.ports.size < PORT_COUNT);
    const port = FIRST_PORT + this.lastPort;
    if (this.ports.has(port)) {
      throw refuse(`${String(PORT_COUNT)} connections are open, and that is as many as can be`);
    }
    this.ports.add(port);
    return port;
  }

  private explain(
    remote: IpEndpoint,
    wasOpen: boolean,
    inOrder: boolean,
    isDefault: boolean,
    startMs: number,
  ): SlirpError {
    const text = `connect ${formatEndpoint(remote)}`;
    if (wasOpen) {
      const how = `the connection to ${formatEndpoint(remote)} was cut off: the guest sent RST, or acknowledged nothing for long`;
      return new SlirpError(ErrorCode.connectionReset, how);
    }
    if (inOrder) {
      const why = `${text}: no guest has shown its IPv6 address yet`;
      return new SlirpError(ErrorCode.guestUnreachable, why);
    }
    const hint = isDefault ? " (the first address of DHCP; give `address` for another)" : "";
    if (this.stack.table.network.nowMs() - startMs >= HANDSHAKE_MS) {
      const why = `${text}: no answer in 75 s${hint}. Is the guest up, and has it this address?`;
      return new SlirpError(ErrorCode.guestUnreachable, why);
    }
    const why = `${text}: refused by the guest: nothing listens there${hint}`;
    return new SlirpError(ErrorCode.connectionRefused, why);
  }
}

function refuse(problem: string): SlirpError {
  return new SlirpError(ErrorCode.invalidConfiguration, `connect: ${problem}`);
}
