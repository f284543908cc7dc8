/**
 * Ports that a relay has opened for a client: a TCP server or a UDP socket each (wisp-listen.ts tells what goes over the wire).
 *
 * A UDP port answers who has written to it, and whom the policy of targets lets it reach: else a client could send anywhere by way of it.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv6, type AddressInfo, type Server, type Socket } from "node:net";
import { formatEndpoint, ipEndpoint } from "../address.js";
import { encodeClose, encodeData, WispReason } from "../wisp.js";
import { BindResult, decodePeerDatagram, encodeBound, encodePeerDatagram } from "../wisp-listen.js";
import type { ListenPlace } from "./listen-policy.js";
import type { RelayLink } from "./relay-link.js";
import type { TargetPolicy } from "./target-policy.js";
import type { RelayStream } from "./tcp-stream.js";

/** Peers that a UDP port remembers; the one not heard of for longest is forgotten. */
const MAX_PEERS = 1024;

/** What a listener has of its session. */
export interface ListenerContext {
  readonly link: RelayLink;
  readonly policy: TargetPolicy;
  /** Somebody connected. */
  onConnection(listener: number, socket: Socket): void;
  /** It is bound. */
  onBound(listener: number, address: AddressInfo): void;
  /** It cannot be bound. */
  onFailed(listener: number, message: string): void;
  /** The listener is over; its id is free again. */
  onGone(id: number): void;
}

/** See the top of the file. */
export abstract class PortListener implements RelayStream {
  #isGone = false;
  #isBound = false;

  constructor(
    protected readonly context: ListenerContext,
    protected readonly id: number,
  ) {}

  /** Binds the first of the ports that is free, and tells the client. Never rejects. */
  async open({ address, ports }: ListenPlace, ipv6Only: boolean): Promise<void> {
    let failure: NodeJS.ErrnoException = new Error("no port");
    for (const port of ports) {
      try {
        const bound = await this.bind(address, port, ipv6Only);
        this.#isBound = true;
        if (this.#isGone) this.release();
        else {
          this.context.link.send(encodeBound(this.id, BindResult.bound, bound.port, bound.address));
          this.context.onBound(this.id, bound);
        }
        return;
      } catch (error) {
        failure = error as NodeJS.ErrnoException;
        if (failure.code !== "EADDRINUSE" || this.#isGone) break;
      }
    }
    if (this.#isGone) return;
    this.context.link.send(encodeBound(this.id, resultOf(failure), 0, failure.message));
    this.context.onFailed(this.id, failure.message);
    this.#leave();
  }

  abstract receive(payload: Buffer): void;

  grant(): void {
    // A listener has no window.
  }

  endByClient(): void {
    this.#leave();
  }

  abandon(): void {
    this.#leave();
  }

  /** The relay ends it. */
  end(): void {
    if (this.#isGone) return;
    this.context.link.send(encodeClose(this.id, WispReason.voluntary));
    this.#leave();
  }

  /** Fulfilled when bound. @throws the system's error. */
  protected abstract bind(address: string, port: number, ipv6Only: boolean): Promise<AddressInfo>;

  /** Gives up what was bound. */
  protected abstract release(): void;

  /** The system ended it. */
  protected fail(): void {
    this.end();
  }

  #leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (this.#isBound) this.release();
    this.context.onGone(this.id);
  }
}

/** A TCP port. */
export class TcpPortListener extends PortListener {
  #server: Server | undefined;

  override receive(): void {
    // DATA belongs to streams.
  }

  protected override async bind(
    host: string,
    port: number,
    ipv6Only: boolean,
  ): Promise<AddressInfo> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.context.onConnection(this.id, socket);
    });
    await once(server.listen({ host, port, ipv6Only, exclusive: true }), "listening");
    server.on("error", () => {
      this.fail();
    });
    this.#server = server;
    return server.address() as AddressInfo;
  }

  protected override release(): void {
    this.#server?.close();
  }
}

/** A UDP port. */
export class UdpPortListener extends PortListener {
  readonly #peers = new Set<string>();
  #socket: UdpSocket | undefined;
  #family: 4 | 6 = 4;

  override receive(payload: Buffer): void {
    const datagram = decodePeerDatagram(payload);
    if (!datagram || !this.#socket || datagram.peer.family !== this.#family) return;
    const { address, port } = datagram.peer;
    const isKnown = this.#peers.has(formatEndpoint(datagram.peer));
    if (!isKnown && !this.context.policy.judge(address, port).allowed) return;
    // Refused, too long, no buffer left: the datagram is lost, and the next may not be.
    this.#socket.send(datagram.payload, port, address, () => undefined);
  }

  protected override async bind(
    address: string,
    port: number,
    ipv6Only: boolean,
  ): Promise<AddressInfo> {
    this.#family = isIPv6(address) ? 6 : 4;
    const socket =
      this.#family === 6 ? createSocket({ type: "udp6", ipv6Only }) : createSocket("udp4");
    socket.on("message", (message, from) => {
      const { bytes, ...peer } = ipEndpoint(from.address, from.port);
      this.#remember(formatEndpoint({ bytes, ...peer }));
      // A full WebSocket loses datagrams, as a full link does.
      this.context.link.sendOrDrop(
        encodeData(this.id, encodePeerDatagram({ bytes, port: peer.port }, message)),
      );
    });
    socket.bind({ address, port, exclusive: true });
    try {
      await once(socket, "listening");
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.on("error", () => {
      this.fail();
    });
    this.#socket = socket;
    return socket.address();
  }

  protected override release(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #remember(peer: string): void {
    this.#peers.delete(peer);
    this.#peers.add(peer);
    if (this.#peers.size <= MAX_PEERS) return;
    const [oldest] = this.#peers;
    if (oldest !== undefined) this.#peers.delete(oldest);
  }
}

function resultOf({ code }: NodeJS.ErrnoException): BindResult {
  switch (code) {
    case "EADDRINUSE":
      return BindResult.addressInUse;
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
      return BindResult.addressNotAvailable;
    case "EACCES":
    case "EPERM":
      return BindResult.forbidden;
    default:
      return BindResult.other;
  }
}
