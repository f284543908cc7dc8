/**
 * The ports that one Wisp client has had opened, and who comes in by them.
 *
 * Listeners stand among the session's streams, by id, and are counted with them; there are bounds for listeners beside that, of a client and
 * of all. A connection that finds no room is reset.
 */
import type { Socket } from "node:net";
import { encodeIncoming, BindResult, encodeBound, FIRST_SERVER_ID } from "../wisp-listen.js";
import type { ListenPacket } from "../wisp-listen.js";
import { CONNECTION_ID, WispKind } from "../wisp.js";
import type { ListenPolicy } from "./listen-policy.js";
import type { PortListener } from "./port-listener.js";
import { TcpPortListener, UdpPortListener } from "./port-listener.js";
import type { RelayContext } from "./relay-context.js";
import { TcpStream, type RelayStream, type StreamContext } from "./tcp-stream.js";

const LAST_SERVER_ID = 0xffff_ffff;

/** What it needs of its session. */
export interface ListeningSession {
  readonly context: RelayContext;
  readonly policy: ListenPolicy;
  readonly streamContext: StreamContext;
  /** Streams and listeners by id. */
  readonly streams: Map<number, RelayStream>;
  /** The client's address, for the log. */
  readonly client: string;
  /** The client has named a token that the policy knows. */
  readonly mayListen: boolean;
}

/** See the top of the file. */
export class SessionListeners {
  readonly #session: ListeningSession;
  readonly #own = new Set<PortListener>();
  #nextId = FIRST_SERVER_ID;

  constructor(session: ListeningSession) {
    this.#session = session;
  }

  /** A packet of the extension. Answers what is wrong with it, where it ends the connection. */
  receive(packet: ListenPacket): string | undefined {
    if (packet.type === "malformed") return packet.problem;
    if (packet.type !== "listen") return `${packet.type} from a client`;
    const { id, kind } = packet;
    const { streams } = this.#session;
    if (id === CONNECTION_ID || streams.has(id)) {
      return `LISTEN with id ${String(id)}, which is taken`;
    }
    if (kind !== WispKind.tcp && kind !== WispKind.udp) {
      this.#refuse(id, BindResult.other, `kind ${String(kind)} is neither TCP nor UDP`);
      return undefined;
    }
    this.#listen(packet);
    return undefined;
  }

  /** The relay is about to end: nobody comes in any more. */
  closeAll(): void {
    for (const listener of this.#own) listener.end();
  }

  #listen({ id, kind, address, port, ipv6Only }: ListenPacket & { type: "listen" }): void {
    const { context, policy, streams, mayListen, streamContext } = this.#session;
    const { limits } = context;
    if (!mayListen) {
      this.#refuse(id, BindResult.badToken, "the token for opening ports is missing or wrong");
      return;
    }
    const isFull =
      this.#own.size >= limits.maxListenersPerConnection ||
      policy.openListeners >= limits.maxListeners ||
      streams.size >= limits.maxStreams;
    if (isFull || context.isDraining) {
      this.#refuse(id, BindResult.tooMany, "the relay opens no more ports");
      return;
    }
    const place = policy.judge(address, port);
    if ("rule" in place) {
      this.#refuse(id, BindResult.forbidden, place.rule);
      return;
    }
    const Listener = kind === WispKind.tcp ? TcpPortListener : UdpPortListener;
    const listener: PortListener = new Listener(
      {
        link: streamContext.link,
        policy: context.policy,
        onConnection: (to, socket) => {
          this.#accept(to, socket);
        },
        onBound: (_, bound) => {
          const { client } = this.#session;
          const { address: at, port: number } = bound;
          context.log.info({ client, address: at, port: number }, "opened a port");
        },
        onFailed: (_, rule) => {
          this.#tellRefused(rule);
        },
        onGone: () => {
          this.#forget(id, listener);
        },
      },
      id,
    );
    this.#own.add(listener);
    streams.set(id, listener);
    policy.openListeners++;
    context.metrics.listeners.inc();
    void listener.open(place, ipv6Only);
  }

  #forget(id: number, listener: PortListener): void {
    const { context, policy, streams } = this.#session;
    this.#own.delete(listener);
    streams.delete(id);
    policy.openListeners--;
    context.metrics.listeners.dec();
  }

  #accept(listener: number, socket: Socket): void {
    const { context, streams, streamContext } = this.#session;
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    if (streams.size >= context.limits.maxStreams || context.isDraining) {
      context.metrics.refusals.inc({ rule: "throttled" });
      socket.resetAndDestroy();
      return;
    }
    const id = this.#takeId();
    const peer = { address: remoteAddress, port: remotePort };
    streamContext.link.send(encodeIncoming(id, listener, peer));
    context.metrics.streams.inc();
    streams.set(id, new TcpStream(streamContext, id, { accepted: socket }));
  }

  #takeId(): number {
    while (this.#session.streams.has(this.#nextId)) this.#advanceId();
    const id = this.#nextId;
    this.#advanceId();
    return id;
  }

  #advanceId(): void {
    this.#nextId = this.#nextId === LAST_SERVER_ID ? FIRST_SERVER_ID : this.#nextId + 1;
  }

  #refuse(id: number, result: BindResult, rule: string): void {
    this.#tellRefused(rule);
    this.#session.streamContext.link.send(encodeBound(id, result, 0, rule));
  }

  #tellRefused(rule: string): void {
    const { context, client } = this.#session;
    context.metrics.refusals.inc({ rule: "listen" });
    context.log.info({ client, rule }, "refused a listener");
  }
}
