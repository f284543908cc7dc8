/**
 * One WebSocket to a Wisp relay: the handshake, and packets to and from streams.
 *
 * The path of DATA builds no objects: the header is read by hand, the payload handed on as a view on the message. Everything
 * else is decoded by `wisp.ts`.
 *
 * Version 2 is asked for by a subprotocol, which a server of version 1 may answer by refusing the WebSocket: whoever opens
 * the connection then tries again without (`wisp-relays.ts`). A CONTINUE that comes first means version 1, but one server sends
 * INFO behind it: an INFO that comes late is answered too, and holds for streams opened later.
 */
import {
  CONNECTION_ID,
  decodePacket,
  encodeClose,
  WISP_HEADER_BYTES,
  WISP_V2_SUBPROTOCOL,
  WispReason,
  WispType,
  type WispExtension,
  type WispPacket,
} from "../wisp.js";
import type { PasswordDraft } from "../wisp-extensions.js";
import { decodeListenPacket, type ListenPacket } from "../wisp-listen.js";
import {
  answerInfo,
  PLAIN_FEATURES,
  type WispCredentials,
  type WispFeatures,
} from "./wisp-handshake.js";
import { WispPeers } from "./wisp-peers.js";
import { wispReasonText } from "./wisp-reason-text.js";
import {
  copiesWhatItSends,
  WEB_SOCKET_OPEN,
  type WebSocketClass,
  type WebSocketLike,
} from "./web-socket.js";

/** Bytes of a TCP stream that the relay may send unasked: what one stream holds at most on this side. */
export const STREAM_WINDOW_BYTES = 320 * 1024;

/** Bytes that wait in the WebSocket above which streams keep theirs, so that a short question need not wait behind long answers. */
const CONGESTED_BYTES = 1024 * 1024;

/** How often a congested WebSocket is looked at: it has no event for having sent. */
const CONGESTION_POLL_MS = 5;

/** What a connection tells of itself. */
export interface WispConnectionObserver {
  onOpen(): void;
  /** It ended, or did not come about; once. */
  onEnd(end: WispConnectionEnd): void;
}

/** How a connection ended. */
export interface WispConnectionEnd {
  /** The relay does not want us. */
  readonly refused: boolean;
  readonly message: string;
  /** The relay got a password and ended the handshake because of it, or without a reason: it may not have been able to read it. */
  readonly passwordRefused?: boolean;
}

/** How a connection is made. */
export interface WispConnectionOptions {
  readonly webSocket: WebSocketClass;
  readonly url: string;
  /** Ask for version 2. */
  readonly version: 1 | 2;
  readonly credentials: WispCredentials;
  /** How a password is written. */
  readonly passwordDraft: PasswordDraft;
}

/** See the top of the file. */
export class WispConnection {
  features: WispFeatures = PLAIN_FEATURES;
  /** Packets that may be sent on a new TCP stream. */
  initialCredits = 0;
  /** Streams and listeners on it. */
  readonly peers = new WispPeers();
  /** `send` is done with a packet when it returns. */
  readonly copiesPackets: boolean;

  readonly #socket: WebSocketLike;
  readonly #observer: WispConnectionObserver;
  readonly #credentials: WispCredentials;
  readonly #passwordDraft: PasswordDraft;
  #open = false;
  #ended = false;
  #hasSentPassword = false;
  #congestionTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WispConnectionOptions, observer: WispConnectionObserver) {
    this.#observer = observer;
    this.#credentials = options.credentials;
    this.#passwordDraft = options.passwordDraft;
    const protocols = options.version === 2 ? [WISP_V2_SUBPROTOCOL] : [];
    this.#socket = new options.webSocket(options.url, protocols);
    this.#socket.binaryType = "arraybuffer";
    this.copiesPackets = copiesWhatItSends(this.#socket);
    this.#socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#receive(new Uint8Array(data));
    };
    this.#socket.onerror = () => {
      this.#endUnsaid("the WebSocket could not be opened or broke off");
    };
    this.#socket.onclose = ({ code, reason }) => {
      const said = reason === "" ? "" : `, "${reason}"`;
      this.#endUnsaid(`the WebSocket was closed (${String(code)}${said})`);
    };
  }

  /** The handshake is done, and nothing has ended it. */
  get isOpen(): boolean {
    return this.#open && !this.#ended;
  }

  /** More waits in the WebSocket than should; `onUncongested` follows for every stream. */
  get isCongested(): boolean {
    if (this.#socket.bufferedAmount < CONGESTED_BYTES) return false;
    this.#congestionTimer ??= setTimeout(() => {
      this.#congestionTimer = undefined;
      if (this.isCongested) return;
      this.peers.tellUncongested();
    }, CONGESTION_POLL_MS);
    return true;
  }

  /** Sends a packet; its buffer is the connection's from then on, unless {@link copiesPackets}. */
  send(packet: Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState === WEB_SOCKET_OPEN) this.#socket.send(packet);
  }

  /** Only with `ws`, which can: stops reading altogether, and goes on. False: this WebSocket cannot. */
  setReading(reading: boolean): boolean {
    const socket = this.#socket;
    if (!socket.pause || !socket.resume) return false;
    if (reading) socket.resume();
    else socket.pause();
    return true;
  }

  /** Ends it in good order; nobody is told. */
  close(): void {
    this.#ended = true;
    clearTimeout(this.#congestionTimer);
    this.#socket.close(1000);
  }

  #receive(message: Uint8Array): void {
    if (this.#ended) return;
    if (message[0] === WispType.data && message.length >= WISP_HEADER_BYTES) {
      const [, a = 0, b = 0, c = 0, d = 0] = message;
      const id = (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
      this.peers.get(id)?.onData(message.subarray(WISP_HEADER_BYTES));
      return;
    }
    const listen = this.features.listen === "yes" ? decodeListenPacket(message) : undefined;
    if (listen) {
      this.#receiveListen(listen);
      return;
    }
    const packet = decodePacket(message);
    if (packet.streamId === CONNECTION_ID) this.#receiveOwn(packet);
    else this.#receiveStream(packet);
  }

  #receiveOwn(packet: WispPacket): void {
    if (packet.type === "continue") {
      this.initialCredits = packet.credits;
      this.#becomeOpen();
    } else if (packet.type === "info") {
      void this.#answer(packet.extensions);
    } else if (packet.type === "close") {
      const { reason } = packet;
      const refused = reason >= WispReason.badPassword || reason === WispReason.blocked;
      const isAboutPassword =
        reason === WispReason.badPassword || reason === WispReason.credentialsMissing;
      const passwordRefused = isAboutPassword && this.#waitsForPassword;
      const message = `the relay ended the connection: ${wispReasonText(reason)}`;
      this.#end({ refused, message, passwordRefused });
    }
  }

  async #answer(offered: readonly WispExtension[]): Promise<void> {
    try {
      const answer = await answerInfo(offered, this.#credentials, {
        windowBytes: STREAM_WINDOW_BYTES,
        passwordDraft: this.#passwordDraft,
      });
      this.features = answer.features;
      this.#hasSentPassword = answer.hasPassword;
      this.send(answer.info);
    } catch (error) {
      this.send(encodeClose(CONNECTION_ID, WispReason.incompatibleExtensions));
      this.#end({ refused: true, message: error instanceof Error ? error.message : String(error) });
    }
  }

  #receiveStream(packet: WispPacket): void {
    const { streamId } = packet;
    if (packet.type === "close") {
      const stream = this.peers.get(streamId);
      this.peers.detach(streamId);
      stream?.onClose(packet.reason);
    } else if (packet.type === "continue") {
      this.peers.get(streamId)?.onContinue(packet.credits);
    }
  }

  #receiveListen(packet: ListenPacket): void {
    if (packet.type === "bound") {
      this.peers.getListener(packet.id)?.onBound(packet.result, packet.port, packet.text);
    } else if (packet.type === "incoming") {
      const { id, listener, address, port } = packet;
      const peer = this.peers.getListener(listener);
      // It was closed while somebody came.
      if (peer) peer.onIncoming(id, address, port);
      else this.send(encodeClose(id, WispReason.networkError));
    }
  }

  #becomeOpen(): void {
    if (this.#open) return;
    this.#open = true;
    this.#observer.onOpen();
  }

  /** It has a password, and has not said what it thinks of it. */
  get #waitsForPassword(): boolean {
    return this.#hasSentPassword && !this.#open;
  }

  /** The WebSocket is gone, and the relay has not said why. */
  #endUnsaid(message: string): void {
    this.#end({ refused: false, message, passwordRefused: this.#waitsForPassword });
  }

  #end(end: WispConnectionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#congestionTimer);
    this.#socket.close();
    this.#observer.onEnd(end);
    this.peers.lose();
  }
}
