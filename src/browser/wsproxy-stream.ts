/**
 * A TCP stream that has a WebSocket to itself, through a relay of wsproxy's or websockify's kind. Its messages are the bytes, and nothing
 * else is said: no port is confirmed or refused, there is no FIN, no RST and no window. What TCP needs beyond that is made as well as may be:
 *
 * Connecting. Relays open the WebSocket before they connect to the target, and close it when that fails. No such news within
 * {@link CONFIRM_GRACE_MS} is taken for good news, so that a port that is refused is refused towards the guest too, and not reset after the
 * guest believes itself connected. A relay that takes longer than that to be refused is seen as a reset.
 *
 * Receiving. A browser's WebSocket cannot be stopped: what comes is kept, and the network looks to the sum (`receive-budget.ts`). Where it
 * can (`ws` in Node), the WebSocket of a stream that holds {@link WINDOW_BYTES} is not read.
 *
 * Ends. The WebSocket's closing is the end of the stream both ways. The guest's FIN is kept back as long as data comes, for most who send
 * FIN wait for an answer, and closes the WebSocket when the host has been silent for {@link HALF_CLOSE_MS}. Since some relays throw away
 * what they have not written yet when it is closed (websockify does), it is closed as late behind data that nothing has been heard after.
 */
import type { IpEndpoint } from "../address.js";
import { ByteQueue } from "../byte-queue.js";
import {
  Errno,
  Readiness,
  type ErrnoName,
  type HostStream,
  type HostTimer,
} from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import type { MessageSenderOwner } from "./message-sender.js";
import type { OpenSocket } from "./page-host-network.js";
import type { PageLoop } from "./page-loop.js";
import type { Holder, ReceiveBudget } from "./receive-budget.js";
import type { WebSocketClass, WebSocketLike } from "./web-socket.js";
import { WsproxySender } from "./wsproxy-sender.js";

/** How long a relay has for saying no. Counted in short steps: a page that is busy, and hears nobody meanwhile, is late with each. */
const CONFIRM_GRACE_MS = 50;
const CONFIRM_STEP_MS = 10;

/** How long the host may be silent after the guest's FIN, or after data. */
const HALF_CLOSE_MS = 5000;

/** How long a stream that was closed may take to get rid of what it took, without progress. */
const LINGER_MS = 60_000;

/** Received and not taken, above which a WebSocket that can be stopped is; what it has read already still comes. */
const WINDOW_BYTES = 96 * 1024;

/** RFC 6455, 7.4.1. */
const CloseCode = { normal: 1000, none: 1005, policyViolation: 1008 } as const;

const ALL_EVENTS = Readiness.readable | Readiness.writable | Readiness.error | Readiness.hangup;

/** `ws` can end it without order, too. */
type StreamWebSocket = WebSocketLike & { terminate?(): void };

/** What streams of a network have in common. */
export interface WsproxyStreamParts {
  readonly loop: PageLoop;
  readonly budget: ReceiveBudget;
  readonly open: Set<OpenSocket>;
  readonly webSocket: WebSocketClass;
  readonly protocols: readonly string[];
  readonly connectTimeoutMs: number;
  /** The relay was reached, or was not, and why. */
  onRelay(url: string, problem: string | undefined): void;
}

/** See the top of the file. */
export class WsproxyStream
  extends ReadinessSource
  implements HostStream, MessageSenderOwner, Holder, OpenSocket
{
  readonly localEndpoint = undefined;
  readonly #parts: WsproxyStreamParts;
  readonly #remote: IpEndpoint;
  readonly #url: string;
  readonly #received: ByteQueue;
  readonly #sender: WsproxySender;
  #socket: StreamWebSocket | undefined;
  #isOpen = false;
  #isConnected = false;
  #isReading = true;
  #timer: HostTimer | undefined;
  #ended = false;
  /** The guest's FIN: to be sent, all before it sent. */
  #fin: "none" | "wanted" | "sent" = "none";
  #failure = 0;
  #closed = false;

  constructor(parts: WsproxyStreamParts, remote: IpEndpoint, url: string) {
    super();
    this.#parts = parts;
    this.#remote = remote;
    this.#url = url;
    this.#received = new ByteQueue(parts.loop.pool);
    this.#sender = new WsproxySender(this, parts.loop.pool);
  }

  /** Begins to connect: 0, or a negative errno where the page may not. */
  connect(): number {
    try {
      this.#socket = this.#openSocket();
    } catch (error) {
      // A page may not open ws: from https:, and says so by an exception.
      this.#parts.onRelay(this.#url, String(error));
      return -Errno.EACCES;
    }
    this.#parts.open.add(this);
    this.#setTimer(this.#parts.connectTimeoutMs, () => {
      this.#fail(Errno.ETIMEDOUT);
    });
    return 0;
  }

  get remoteEndpoint(): IpEndpoint | undefined {
    return this.#isConnected ? this.#remote : undefined;
  }

  /** Received and not taken. */
  get heldBytes(): number {
    return this.#received.length;
  }

  receive(target: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#received.length > 0 || target.length === 0) {
      const count = this.#received.read(target);
      if (this.#received.length === 0) this.owe(Readiness.readable);
      this.#parts.budget.took(count);
      this.#readOrNot();
      return count;
    }
    if (this.#failure !== 0) return -this.#failure;
    if (this.#ended) return 0;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#failure !== 0) return -this.#failure;
    if (this.#fin !== "none") return -Errno.EPIPE;
    if (!this.#isConnected) return -Errno.ENOTCONN;
    if (this.#ended) return -Errno.EPIPE;
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.#sender.push(first, second);
    if (taken < wanted) this.owe(Readiness.writable);
    return taken === 0 && wanted > 0 ? -Errno.EAGAIN : taken;
  }

  shutdownWrite(): void {
    if (this.#closed || this.#fin !== "none") return;
    this.#fin = "wanted";
    if (this.#isConnected && this.#sender.length === 0) this.onProgress();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#dropReceived();
    this.#timer?.cancel();
    if (this.#sender.length > 0) this.#armLinger();
    else this.#closeInOrder();
  }

  reset(): void {
    this.#closed = true;
    this.silence();
    this.#dropReceived();
    this.#cutOff();
  }

  /** The network ends: what was taken is still sent. */
  abandon(): void {
    this.close();
  }

  /** It holds more than there is room for: it is the one to go. */
  giveUp(): void {
    this.#fail(Errno.ECONNRESET);
  }

  onRoom(): void {
    this.raise(Readiness.writable);
  }

  onProgress(): void {
    if (this.#sender.length > 0) {
      if (this.#closed) this.#armLinger();
    } else if (this.#closed) {
      this.#closeInOrder();
    } else if (this.#fin === "wanted") {
      this.#fin = "sent";
      this.#armClose();
    }
  }

  #openSocket(): StreamWebSocket {
    const { webSocket, protocols } = this.#parts;
    const socket: StreamWebSocket = new webSocket(this.#url, [...protocols]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#onOpen();
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#onData(new Uint8Array(data));
      else if (typeof data === "string") this.#onData(new TextEncoder().encode(data));
    };
    // `onclose` follows, and has more to say.
    socket.onerror = () => undefined;
    socket.onclose = ({ code, reason }) => {
      this.#onClose(code, reason);
    };
    return socket;
  }

  #onOpen(): void {
    if (this.#failure !== 0 || !this.#socket) return;
    this.#isOpen = true;
    this.#parts.onRelay(this.#url, undefined);
    if (this.#closed) return;
    this.#awaitRefusal(CONFIRM_GRACE_MS);
  }

  #awaitRefusal(leftMs: number): void {
    if (leftMs <= 0) {
      this.#becomeConnected();
      return;
    }
    this.#setTimer(CONFIRM_STEP_MS, () => {
      this.#awaitRefusal(leftMs - CONFIRM_STEP_MS);
    });
  }

  #onData(bytes: Uint8Array): void {
    this.#sender.heard();
    if (this.#closed || this.#failure !== 0 || bytes.length === 0) return;
    this.#becomeConnected();
    this.#received.push(bytes, 0, bytes.length);
    this.#parts.budget.kept(this, bytes.length);
    this.#readOrNot();
    if (this.#fin === "sent") this.#armClose();
    this.raise(Readiness.readable);
  }

  #onClose(code: number, reason: string): void {
    this.#socket = undefined;
    if (this.#failure !== 0 || this.#closed) {
      this.#finish();
    } else if (!this.#isOpen) {
      const said = reason === "" ? "" : `, "${reason}"`;
      this.#parts.onRelay(this.#url, `the WebSocket was not opened (${String(code)}${said})`);
      this.#fail(Errno.EHOSTUNREACH);
    } else if (!this.#isConnected && code !== CloseCode.normal) {
      this.#fail(connectErrno(code, reason));
    } else if (code === CloseCode.normal || code === CloseCode.none) {
      this.#becomeConnected();
      this.#onEnd();
      this.#finish();
    } else {
      this.#fail(Errno.ECONNRESET);
    }
  }

  #becomeConnected(): void {
    if (this.#isConnected || this.#failure !== 0) return;
    this.#timer?.cancel();
    this.#isConnected = true;
    if (this.#socket) this.#sender.start(this.#socket);
    this.raise(Readiness.writable);
    if (this.#fin === "wanted") this.onProgress();
  }

  #onEnd(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.raise(Readiness.readable);
  }

  /** Stops the WebSocket, or lets it go on, where it is one that can be. */
  #readOrNot(): void {
    const socket = this.#socket;
    if (!socket?.pause || !socket.resume) return;
    if (this.#isReading && this.#received.length > WINDOW_BYTES) {
      this.#isReading = false;
      socket.pause();
    } else if (!this.#isReading && this.#received.length < WINDOW_BYTES / 2) {
      this.#isReading = true;
      socket.resume();
    }
  }

  #closeInOrder(): void {
    if (this.#sender.isUnheard) this.#armClose();
    else this.#closeSocket();
  }

  /** The host has {@link HALF_CLOSE_MS} from now, or from when everything before is out. */
  #armClose(): void {
    this.#setTimer(HALF_CLOSE_MS, () => {
      if (this.#socket && this.#socket.bufferedAmount > 0) {
        this.#armClose();
        return;
      }
      this.#closeSocket();
      this.#onEnd();
    });
  }

  #armLinger(): void {
    this.#setTimer(LINGER_MS, () => {
      this.#cutOff();
    });
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.loop.setTimer(callback, delayMs);
  }

  /** Closes it behind what it was given. It is over when it says so: `#onClose`. */
  #closeSocket(): void {
    this.#timer?.cancel();
    const socket = this.#socket;
    if (!socket) {
      this.#finish();
      return;
    }
    if (!this.#isReading) {
      this.#isReading = true;
      socket.resume?.();
    }
    socket.close(CloseCode.normal);
  }

  #cutOff(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#finish();
    if (socket?.terminate) socket.terminate();
    else socket?.close();
  }

  #fail(errno: number): void {
    if (this.#failure !== 0) return;
    this.#failure = errno;
    this.keepError(errno);
    this.#cutOff();
    this.raise(ALL_EVENTS);
  }

  /** Nothing comes and nothing goes any more. What was received may still be taken. */
  #finish(): void {
    this.#timer?.cancel();
    this.#sender.stop();
    this.#parts.open.delete(this);
  }

  #dropReceived(): void {
    this.#parts.budget.took(this.#received.length);
    this.#received.clear();
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
