/**
 * One client that speaks Wisp: the handshake, and packets to and from streams.
 *
 * Version 2 begins with our INFO and the client's, version 1 with CONTINUE. Before the handshake is done nothing is opened. What a client
 * does wrong ends the stream that it concerns; what concerns the connection (a packet that is none, a second INFO, credentials that are
 * wrong) ends that. Packets for streams that are gone are the usual crossing of messages, and ignored.
 */
import {
  decodeStreamControl,
  encodeMotd,
  encodeStreamControl,
  WispExtensionId,
} from "../wisp-extensions.js";
import {
  CONNECTION_ID,
  decodePacket,
  encodeClose,
  encodeContinue,
  encodeInfo,
  WISP_HEADER_BYTES,
  WispKind,
  WispReason,
  WispType,
  type WispExtension,
  type WispPacket,
} from "../wisp.js";
import {
  decodeListenPacket,
  decodeListenToken,
  encodeListenOffer,
  LISTEN_EXTENSION_ID,
} from "../wisp-listen.js";
import { chooseAddress } from "./dial.js";
import { OpeningStream } from "./opening-stream.js";
import type { RelayContext } from "./relay-context.js";
import type { RelayLink } from "./relay-link.js";
import { SessionListeners } from "./session-listeners.js";
import { TokenBucket } from "./token-bucket.js";
import { TcpStream, type RelayStream, type StreamContext } from "./tcp-stream.js";
import { UdpStream } from "./udp-stream.js";

/** What the server grants of a stream with stream control: nothing, for credits do that; a window must be named all the same. */
const SERVER_WINDOW_BYTES = 0x7fff_ffff;

/** WebSocket close codes: normal, going away, policy violation (RFC 6455, 7.4.1). */
const CloseCode = { normal: 1000, goingAway: 1001, policyViolation: 1008 } as const;

/** See the top of the file. */
export class WispSession {
  readonly #context: RelayContext;
  readonly #client: string;
  readonly #link: RelayLink;
  readonly #streams = new Map<number, RelayStream>();
  readonly #connects: TokenBucket;
  readonly #streamContext: StreamContext & {
    windowBytes: number | undefined;
    confirmsOpen: boolean;
  };
  readonly #handshakeTimer: NodeJS.Timeout;
  readonly #challenge: Uint8Array;
  #ready = false;
  /** Where the extension is in use. */
  #listeners: SessionListeners | undefined;
  /** Bytes that wait for targets. A client that minds its credits stays far below the bound; one that does not is not read any more. */
  #queuedBytes = 0;
  #closed = false;

  constructor(context: RelayContext, client: string, link: RelayLink, version: 1 | 2) {
    this.#context = context;
    this.#client = client;
    this.#link = link;
    this.#connects = new TokenBucket(context.limits.connectsPerSecond);
    this.#challenge = context.credentials.newChallenge();
    this.#streamContext = {
      link,
      limits: context.limits,
      windowBytes: undefined,
      confirmsOpen: false,
      onQueued: (bytes) => {
        this.#queuedBytes += bytes;
        link.setReading(this.#queuedBytes < context.limits.maxTargetQueueBytes);
      },
      onGone: (id) => {
        this.#streams.delete(id);
        context.metrics.streams.dec();
      },
    };
    this.#handshakeTimer = setTimeout(() => {
      this.#fail(WispReason.incompatibleExtensions, "no INFO in time");
    }, context.limits.handshakeTimeoutMs);
    if (version === 2) link.send(encodeInfo(this.#offer()));
    else if (!context.credentials.areNone)
      this.#fail(WispReason.credentialsMissing, "version 1 has no credentials");
    else this.#becomeReady();
  }

  /** A message of the client. */
  receive(message: Buffer, isBinary: boolean): void {
    if (this.#closed) return;
    if (!isBinary) {
      this.#fail(WispReason.invalid, "a text message");
      return;
    }
    if (message[0] === WispType.data && message.length >= WISP_HEADER_BYTES) {
      this.#streams.get(message.readUInt32LE(1))?.receive(message.subarray(WISP_HEADER_BYTES));
      return;
    }
    const listen = this.#listeners && decodeListenPacket(message);
    if (!listen) {
      this.#receivePacket(decodePacket(message));
      return;
    }
    const problem = this.#listeners?.receive(listen);
    if (problem !== undefined) this.#fail(WispReason.invalid, problem);
  }

  /** The WebSocket is closed. */
  end(): void {
    this.#closed = true;
    clearTimeout(this.#handshakeTimer);
    for (const stream of [...this.#streams.values()]) stream.abandon();
  }

  /** The relay is about to end: no new streams. */
  drain(): void {
    this.#listeners?.closeAll();
    if (this.#streams.size === 0) this.#link.close(CloseCode.goingAway, "the relay is ending");
  }

  #offer(): WispExtension[] {
    const { motd, credentials, listenPolicy } = this.#context;
    const none = new Uint8Array();
    return [
      { id: WispExtensionId.udp, metadata: none },
      { id: WispExtensionId.openConfirmation, metadata: none },
      { id: WispExtensionId.streamControl, metadata: encodeStreamControl(SERVER_WINDOW_BYTES) },
      ...(listenPolicy
        ? [{ id: LISTEN_EXTENSION_ID, metadata: encodeListenOffer(listenPolicy.needsToken) }]
        : []),
      ...credentials.offer(this.#challenge),
      ...(motd === undefined ? [] : [{ id: WispExtensionId.motd, metadata: encodeMotd(motd) }]),
    ];
  }

  #receivePacket(packet: WispPacket): void {
    if (packet.type === "malformed") {
      this.#fail(WispReason.invalid, packet.problem);
    } else if (!this.#ready) {
      if (packet.type === "info") this.#acceptInfo(packet.extensions);
      else this.#fail(WispReason.invalid, `${packet.type} before the handshake`);
    } else if (packet.type === "connect") {
      this.#connect(packet);
    } else if (packet.type === "continue" || packet.type === "close") {
      this.#control(packet);
    } else {
      this.#fail(WispReason.invalid, `an unexpected packet: ${packet.type}`);
    }
  }

  #control(packet: WispPacket & { type: "continue" | "close" }): void {
    const stream = this.#streams.get(packet.streamId);
    if (packet.streamId === CONNECTION_ID) {
      if (packet.type === "close") this.#link.close(CloseCode.normal, "");
    } else if (packet.type === "continue") {
      stream?.grant(packet.credits);
    } else {
      stream?.endByClient(packet.reason);
    }
  }

  #acceptInfo(extensions: readonly WispExtension[]): void {
    const given = new Map(extensions.map(({ id, metadata }) => [id, metadata]));
    const refused = this.#context.credentials.judge(given, this.#challenge);
    if (refused !== undefined) {
      this.#fail(refused, "credentials");
      return;
    }
    const control = given.get(WispExtensionId.streamControl);
    this.#streamContext.windowBytes = control && decodeStreamControl(control)?.windowBytes;
    this.#streamContext.confirmsOpen = given.has(WispExtensionId.openConfirmation);
    this.#acceptListening(given.get(LISTEN_EXTENSION_ID));
    this.#becomeReady();
  }

  #acceptListening(metadata: Uint8Array | undefined): void {
    const context = this.#context;
    const policy = context.listenPolicy;
    const token = metadata && decodeListenToken(metadata);
    if (!policy || token === undefined) return;
    this.#listeners = new SessionListeners({
      context,
      policy,
      streamContext: this.#streamContext,
      streams: this.#streams,
      client: this.#client,
      mayListen: policy.knowsToken(token),
    });
  }

  #becomeReady(): void {
    clearTimeout(this.#handshakeTimer);
    this.#ready = true;
    this.#link.send(encodeContinue(CONNECTION_ID, this.#context.limits.creditPackets));
  }

  #connect(packet: WispPacket & { type: "connect" }): void {
    const { streamId, kind, host, port } = packet;
    const { limits, metrics } = this.#context;
    if (streamId === CONNECTION_ID || this.#streams.has(streamId)) {
      this.#fail(WispReason.invalid, `CONNECT for stream ${String(streamId)}, which is taken`);
    } else if (kind !== WispKind.tcp && kind !== WispKind.udp) {
      this.#refuse(streamId, WispReason.invalid, `kind ${String(kind)}`);
    } else if (this.#streams.size >= limits.maxStreams || this.#context.isDraining) {
      this.#refuse(streamId, WispReason.throttled, "maxStreams");
    } else if (!this.#connects.tryTake()) {
      this.#refuse(streamId, WispReason.throttled, "connectsPerSecond");
    } else {
      metrics.streams.inc();
      const opening = new OpeningStream(streamId, this.#streamContext);
      this.#streams.set(streamId, opening);
      void this.#open(opening, kind, host, port);
    }
  }

  async #open(opening: OpeningStream, kind: WispKind, host: string, port: number): Promise<void> {
    const { id } = opening;
    const chosen = await chooseAddress(this.#context.policy, host, port);
    // It may have been closed meanwhile, and the id used again.
    if (this.#streams.get(id) !== opening) return;
    if ("reason" in chosen || opening.isOverfull) {
      const [reason, rule] =
        "reason" in chosen
          ? [chosen.reason, chosen.rule]
          : [WispReason.throttled, "more data than credits"];
      opening.abandon();
      this.#refuse(id, reason, rule, `${host}:${String(port)}`);
      return;
    }
    const target = { ...chosen, port };
    const stream =
      kind === WispKind.tcp
        ? new TcpStream(this.#streamContext, id, target)
        : new UdpStream(this.#streamContext, id, target);
    this.#streams.set(id, stream);
    opening.handOver(stream);
  }

  /** A stream that is not to be: the client is told why, and the log which rule. */
  #refuse(id: number, reason: number, rule: string, target?: string): void {
    this.#context.metrics.refusals.inc({ rule: ruleLabel(reason) });
    this.#context.log.info({ client: this.#client, rule, target }, "refused a stream");
    this.#link.send(encodeClose(id, reason));
  }

  #fail(reason: number, problem: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.log.info({ client: this.#client, rule: problem }, "ended a connection");
    this.#link.send(encodeClose(CONNECTION_ID, reason));
    this.#link.close(CloseCode.policyViolation, problem.slice(0, 100));
  }
}

function ruleLabel(reason: number): string {
  const label = Object.entries(WispReason).find(([, value]) => value === reason)?.[0];
  return label ?? "other";
}
