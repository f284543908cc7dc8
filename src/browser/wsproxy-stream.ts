/**
 * A TCP stream that has a WebSocket to itself, through a relay of wsproxy's or websockify's kind. Its messages are the bytes, and nothing
 * else is said: no port is confirmed or refused, there is no FIN, no RST and no window. What TCP needs beyond that is made as well as may
 * be, most of it in `relayed-stream.ts`. Beyond that:
 *
 * Connecting. Relays open the WebSocket before they connect to the target, and close it when that fails. A relay that takes longer than
 * the time it is given to be refused is seen as a reset.
 *
 * Receiving. A browser's WebSocket cannot be stopped. Where it can (`ws` in Node), the WebSocket of a stream that holds
 * {@link WINDOW_BYTES} is not read.
 *
 * Ends. The WebSocket's closing is the end of the stream both ways, and what becomes of the guest's FIN. Some relays throw away what they
 * have not written yet when it is closed (websockify does).
 */
import type { IpEndpoint } from "../address.js";
import { Errno, type ErrnoName } from "../host-network.js";
import { RelayedStream, type RelayedStreamParts } from "./relayed-stream.js";
import type { WebSocketClass, WebSocketLike } from "./web-socket.js";
import { WsproxySender } from "./wsproxy-sender.js";

/** Received and not taken, above which a WebSocket that can be stopped is; what it has read already still comes. */
const WINDOW_BYTES = 96 * 1024;

/** RFC 6455, 7.4.1. */
const CloseCode = { normal: 1000, none: 1005, policyViolation: 1008 } as const;

/** `ws` can end it without order, too. */
type StreamWebSocket = WebSocketLike & { terminate?(): void };

/** What streams of a network have in common. */
export interface WsproxyStreamParts extends RelayedStreamParts {
  readonly webSocket: WebSocketClass;
  readonly protocols: readonly string[];
  /** The relay was reached, or was not, and why. */
  onRelay(url: string, problem: string | undefined): void;
}

/** See the top of the file. */
export class WsproxyStream extends RelayedStream<WsproxyStreamParts> {
  readonly localEndpoint = undefined;
  protected readonly sender: WsproxySender;
  readonly #url: string;
  #socket: StreamWebSocket | undefined;
  #isOpen = false;
  #isReading = true;

  constructor(parts: WsproxyStreamParts, remote: IpEndpoint, url: string) {
    super(parts, remote);
    this.#url = url;
    this.sender = new WsproxySender(this, parts.loop.pool);
  }

  /** Begins to connect: 0, or a negative errno where the page may not. */
  connect(): number {
    try {
      this.#socket = this.#openSocket();
    } catch (error) {
      // A page may not open ws: from https:, and says so by an exception.
      this.parts.onRelay(this.#url, String(error));
      return -Errno.EACCES;
    }
    this.parts.open.add(this);
    this.armConnect();
    return 0;
  }

  protected override get isAttached(): boolean {
    return this.#socket !== undefined;
  }

  protected override get hasUnsent(): boolean {
    return this.#socket !== undefined && this.#socket.bufferedAmount > 0;
  }

  protected override onTaken(): void {
    this.#readOrNot();
  }

  protected override sendFin(): void {
    // There is none.
  }

  /** Closes it behind what it was given. It is over when it says so: `#onClose`. */
  protected override endInOrder(): void {
    this.timer?.cancel();
    const socket = this.#socket;
    if (!socket) {
      this.finish();
      return;
    }
    if (!this.#isReading) {
      this.#isReading = true;
      socket.resume?.();
    }
    socket.close(CloseCode.normal);
  }

  protected override cutOff(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.finish();
    if (socket?.terminate) socket.terminate();
    else socket?.close();
  }

  #openSocket(): StreamWebSocket {
    const { webSocket, protocols } = this.parts;
    const socket: StreamWebSocket = new webSocket(this.#url, [...protocols]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#onOpen();
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.onData(new Uint8Array(data));
      else if (typeof data === "string") this.onData(new TextEncoder().encode(data));
      this.#readOrNot();
    };
    // `onclose` follows, and has more to say.
    socket.onerror = () => undefined;
    socket.onclose = ({ code, reason }) => {
      this.#onClose(code, reason);
    };
    return socket;
  }

  #onOpen(): void {
    if (this.failure !== 0 || !this.#socket) return;
    this.#isOpen = true;
    this.parts.onRelay(this.#url, undefined);
    if (this.isClosed) return;
    this.sender.start(this.#socket);
    this.awaitRefusal();
  }

  #onClose(code: number, reason: string): void {
    this.#socket = undefined;
    if (this.failure !== 0 || this.isClosed) {
      this.finish();
    } else if (!this.#isOpen) {
      const said = reason === "" ? "" : `, "${reason}"`;
      this.parts.onRelay(this.#url, `the WebSocket was not opened (${String(code)}${said})`);
      this.fail(Errno.EHOSTUNREACH);
    } else if (!this.isConnected && code !== CloseCode.normal) {
      this.fail(connectErrno(code, reason));
    } else if (code === CloseCode.normal || code === CloseCode.none) {
      this.becomeConnected();
      this.hostEnds();
      this.finish();
    } else {
      this.fail(Errno.ECONNRESET);
    }
  }

  /** Stops the WebSocket, or lets it go on, where it is one that can be. */
  #readOrNot(): void {
    const socket = this.#socket;
    if (!socket?.pause || !socket.resume) return;
    if (this.#isReading && this.received.length > WINDOW_BYTES) {
      this.#isReading = false;
      socket.pause();
    } else if (!this.#isReading && this.received.length < WINDOW_BYTES / 2) {
      this.#isReading = true;
      socket.resume();
    }
  }
}

/**
 * Why a stream did not come about. Our relay gives the system's name of the error as the reason; others close without one, and most targets
 * that cannot be reached at once are ports that are refused.
 */
function connectErrno(code: number, reason: string): number {
  if (code === CloseCode.policyViolation) return Errno.EACCES;
  const name = /\bE[A-Z]{4,}\b/.exec(reason)?.[0];
  if (name !== undefined && name in Errno) return Errno[name as ErrnoName];
  return /time/i.test(reason) ? Errno.ETIMEDOUT : Errno.ECONNREFUSED;
}
