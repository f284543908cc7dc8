/**
 * A TCP stream through a Wisp relay.
 *
 * Connecting. CONNECT goes out when there is a connection to a relay. Where the relay confirms (Wisp v2's open confirmation), the stream
 * is connected then; else no news within {@link CONFIRM_GRACE_MS} is taken for good news, so that a port that is refused is refused
 * towards the guest too, and not reset after the guest believes itself connected.
 *
 * Sending is in `wisp-sender.ts`.
 *
 * Receiving. With our stream control extension the relay stops when {@link STREAM_WINDOW_BYTES} have not been taken. Without, Wisp knows no
 * flow control in this direction: everything that comes is kept, and the network looks to the sum (`receive-budget.ts`).
 *
 * Ends. With stream control as TCP has them. Without, CLOSE is all there is: the relay's is the end of the stream both ways; the guest's
 * FIN is kept back as long as data comes, for most who send FIN wait for an answer, and becomes CLOSE when the host has been silent for
 * {@link HALF_CLOSE_MS}, or closes. And since relays throw away what they have not written yet when CLOSE comes, CLOSE waits as long
 * behind data that nothing has been heard after.
 */
import type { IpEndpoint } from "../address.js";
import { ByteQueue } from "../byte-queue.js";
import { Errno, Readiness, type HostStream, type HostTimer } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import {
  encodeClose,
  encodeConnect,
  encodeContinue,
  encodeData,
  WispKind,
  WispReason,
} from "../wisp.js";
import type { ReceiveBudget } from "./receive-budget.js";
import {
  STREAM_WINDOW_BYTES,
  type WispConnection,
  type WispStreamPeer,
} from "./wisp-connection.js";
import type { PageLoop } from "./page-loop.js";
import type { ConnectionWaiter, WispRelays } from "./wisp-relays.js";
import { WispSender, type WispSenderOwner } from "./wisp-sender.js";

/** How long a relay that confirms nothing has for saying no. */
const CONFIRM_GRACE_MS = 50;

/** How long the host may be silent after the guest's FIN, where the relay knows none. */
const HALF_CLOSE_MS = 5000;

/** How long a stream that was closed may take to get rid of what it took, without progress. */
const LINGER_MS = 60_000;

const ALL_EVENTS = Readiness.readable | Readiness.writable | Readiness.error | Readiness.hangup;

/** What streams of a network have in common. */
export interface WispStreamParts {
  readonly loop: PageLoop;
  readonly relays: WispRelays;
  readonly budget: ReceiveBudget;
  /** How long a stream may take to connect, milliseconds, waiting for a relay included. */
  readonly connectTimeoutMs: number;
  /** Open streams, for the network's end. */
  readonly open: Set<{ abandon(): void }>;
}

/** See the top of the file. */
export class WispStream
  extends ReadinessSource
  implements HostStream, WispStreamPeer, ConnectionWaiter, WispSenderOwner
{
  readonly localEndpoint: IpEndpoint | undefined;
  readonly #parts: WispStreamParts;
  readonly #remote: IpEndpoint;
  readonly #received: ByteQueue;
  readonly #sender: WispSender;
  #connection: WispConnection | undefined;
  #id = 0;
  #connected = false;
  #timer: HostTimer | undefined;
  /** The relay's FIN or CLOSE came. */
  #ended = false;
  /** The guest's FIN: to be sent, sent. */
  #fin: "none" | "wanted" | "sent" = "none";
  #failure = 0;
  #closed = false;
  /** Taken by the stack and not granted again. */
  #ungranted = 0;

  constructor(parts: WispStreamParts, remote: IpEndpoint, local?: IpEndpoint) {
    super();
    this.localEndpoint = local;
    this.#parts = parts;
    this.#remote = remote;
    this.#received = new ByteQueue(parts.loop.pool);
    this.#sender = new WispSender(this, parts.loop.pool);
    parts.open.add(this);
  }

  /** Instead of connecting: takes over a stream that the relay has begun, because somebody connected to a port of ours. */
  takeOver(connection: WispConnection, id: number): void {
    this.#connection = connection;
    this.#id = id;
    this.#connected = true;
    this.#sender.start(connection, id);
    connection.adopt(id, this);
    this.raise(Readiness.writable);
  }

  /** Begins to connect. */
  connect(): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.loop.setTimer(() => {
      this.#fail(Errno.ETIMEDOUT);
    }, this.#parts.connectTimeoutMs);
    this.#parts.relays.wait(this);
  }

  get remoteEndpoint(): IpEndpoint | undefined {
    return this.#connected ? this.#remote : undefined;
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
      this.#grant(count);
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
    if (!this.#connected) return -Errno.ENOTCONN;
    if (this.#ended && !this.#halfCloses) return -Errno.EPIPE;
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.#sender.push(first, second);
    if (taken < wanted) this.owe(Readiness.writable);
    return taken === 0 && wanted > 0 ? -Errno.EAGAIN : taken;
  }

  shutdownWrite(): void {
    if (this.#closed || this.#fin !== "none") return;
    this.#fin = "wanted";
    if (this.#connected && this.#sender.length === 0) this.onProgress();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    const unread = this.#received.length > 0;
    this.#dropReceived();
    if (!this.#connection || this.#failure !== 0) {
      this.#finish();
    } else if (this.#sender.length > 0) {
      this.#armLinger();
    } else if (this.#halfCloses) {
      this.#sendClose(unread ? WispReason.networkError : WispReason.voluntary);
    } else {
      this.#closeInOrder();
    }
  }

  reset(): void {
    this.#closed = true;
    this.silence();
    this.#dropReceived();
    this.#sender.stop();
    this.#sendClose(WispReason.networkError);
  }

  /** The network ends: what was taken is still sent. */
  abandon(): void {
    this.close();
  }

  /** It holds more than there is room for: it is the one to go. */
  giveUp(): void {
    this.#sendClose(WispReason.networkError);
    this.#fail(Errno.ECONNRESET);
  }

  onConnection(connection: WispConnection): void {
    if (this.#closed || this.#failure !== 0) return;
    this.#connection = connection;
    this.#id = connection.attach(this);
    this.#sender.start(connection, this.#id);
    const { address, port } = this.#remote;
    connection.send(encodeConnect(this.#id, WispKind.tcp, address, port));
    if (connection.features.openConfirmation) return;
    this.#timer?.cancel();
    this.#timer = this.#parts.loop.setTimer(() => {
      this.#becomeConnected();
    }, CONFIRM_GRACE_MS);
  }

  onRefused(): void {
    this.#fail(Errno.EACCES);
  }

  onData(payload: Uint8Array): void {
    this.#becomeConnected();
    this.#sender.heard();
    if (payload.length === 0 && this.#halfCloses) {
      this.#onEnd();
      return;
    }
    if (this.#closed || payload.length === 0) return;
    this.#received.push(payload, 0, payload.length);
    this.#parts.budget.kept(this, payload.length);
    if (this.#fin === "sent" && !this.#halfCloses) this.#armClose();
    this.raise(Readiness.readable);
  }

  onContinue(credits: number): void {
    this.#becomeConnected();
    this.#sender.grant(credits);
    // Behind a close: the relay has written some of it.
    if (this.#closed && this.#sender.length === 0 && this.#connection) this.#armClose();
  }

  onUncongested(): void {
    this.#sender.goOn();
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
      if (this.#halfCloses) this.#connection?.send(encodeData(this.#id, new Uint8Array()));
      else this.#armClose();
    }
  }

  onClose(reason: number): void {
    this.#timer?.cancel();
    const refused = this.#connected ? undefined : connectErrno(reason);
    this.#connection = undefined;
    if (refused !== undefined) {
      this.#fail(refused);
    } else if (reason === WispReason.voluntary) {
      this.#sender.stop();
      this.#becomeConnected();
      this.#onEnd();
      this.#finish();
    } else {
      this.#fail(Errno.ECONNRESET);
    }
  }

  onLost(): void {
    this.#connection = undefined;
    // Nothing was sent on a stream that is not connected: it waits for another relay.
    if (this.#connected) this.#fail(Errno.ECONNRESET);
    else if (!this.#closed) this.connect();
  }

  /** FIN and window are the relay's too. */
  get #halfCloses(): boolean {
    return this.#connection?.features.streamControl ?? false;
  }

  #closeInOrder(): void {
    if (this.#halfCloses || !this.#sender.isUnheard) this.#sendClose(WispReason.voluntary);
    else this.#armClose();
  }

  #becomeConnected(): void {
    if (this.#connected || this.#failure !== 0) return;
    this.#timer?.cancel();
    this.#connected = true;
    this.raise(Readiness.writable);
    if (this.#fin === "wanted") this.onProgress();
  }

  #onEnd(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.raise(Readiness.readable);
  }

  #grant(count: number): void {
    if (!this.#halfCloses) return;
    this.#ungranted += count;
    if (this.#ungranted < STREAM_WINDOW_BYTES / 2) return;
    this.#connection?.send(encodeContinue(this.#id, this.#ungranted));
    this.#ungranted = 0;
  }

  #armClose(): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.loop.setTimer(() => {
      this.#sendClose(WispReason.voluntary);
      this.#onEnd();
    }, HALF_CLOSE_MS);
  }

  #armLinger(): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.loop.setTimer(() => {
      this.#sender.stop();
      this.#sendClose(WispReason.networkError);
    }, LINGER_MS);
  }

  #sendClose(reason: number): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection) {
      connection.send(encodeClose(this.#id, reason));
      connection.detach(this.#id);
    }
    this.#finish();
  }

  #fail(errno: number): void {
    if (this.#failure !== 0) return;
    this.#failure = errno;
    this.keepError(errno);
    this.#sender.stop();
    if (this.#connection) this.#sendClose(WispReason.networkError);
    this.#finish();
    this.raise(ALL_EVENTS);
  }

  /** Nothing comes and nothing goes any more. What was received may still be taken. */
  #finish(): void {
    this.#timer?.cancel();
    this.#parts.relays.forget(this);
    this.#parts.open.delete(this);
  }

  #dropReceived(): void {
    this.#parts.budget.took(this.#received.length);
    this.#received.clear();
  }
}

/** Why a stream did not come about. Servers report a refused port as 03, 42 or 44. */
function connectErrno(reason: number): number | undefined {
  switch (reason) {
    case WispReason.voluntary:
      return undefined;
    case WispReason.refused:
    case WispReason.networkError:
    case WispReason.unknown:
      return Errno.ECONNREFUSED;
    case WispReason.connectTimeout:
      return Errno.ETIMEDOUT;
    case WispReason.blocked:
      return Errno.EACCES;
    default:
      return Errno.EHOSTUNREACH;
  }
}
