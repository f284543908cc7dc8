/**
 * What TCP streams through relays have in common, of whatever kind the relay is: bytes both ways, and what TCP has and a relay has not.
 *
 * Connecting. A relay that does not confirm has {@link CONFIRM_GRACE_MS} for saying no, so that a port that is refused is refused towards the
 * guest too, and not reset after the guest believes itself connected.
 *
 * Receiving. What comes is kept, and the network looks to the sum (`receive-budget.ts`).
 *
 * Ends. Where the relay knows no FIN, the guest's is kept back as long as data comes, for most who send FIN wait for an answer; the stream is
 * closed when the host has been silent for {@link HALF_CLOSE_MS}. And since relays throw away what they have not written yet when a stream is
 * closed, it is closed as late behind data that nothing has been heard after.
 */
import type { IpEndpoint } from "../address.js";
import { ByteQueue } from "../byte-queue.js";
import { Errno, Readiness, type HostStream, type HostTimer } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import type { MessageSender, MessageSenderOwner } from "./message-sender.js";
import type { OpenSocket } from "./page-host-network.js";
import type { PageLoop } from "./page-loop.js";
import type { Holder, ReceiveBudget } from "./receive-budget.js";

/** How long a relay has for saying no. Counted in short steps: a page that is busy, and hears nobody meanwhile, is late with each. */
const CONFIRM_GRACE_MS = 50;
const CONFIRM_STEP_MS = 10;

/** How long the host may be silent after the guest's FIN, or after data. */
const HALF_CLOSE_MS = 5000;

/** How long a stream that was closed may take to get rid of what it took, without progress. */
const LINGER_MS = 60_000;

const ALL_EVENTS = Readiness.readable | Readiness.writable | Readiness.error | Readiness.hangup;

/** What streams of a network have in common. */
export interface RelayedStreamParts {
  readonly loop: PageLoop;
  readonly budget: ReceiveBudget;
  /** Open sockets, for the network's end. */
  readonly open: Set<OpenSocket>;
  /** How long a stream may take to connect, milliseconds, waiting for a relay included. */
  readonly connectTimeoutMs: number;
}

/** See the top of the file. */
export abstract class RelayedStream<Parts extends RelayedStreamParts = RelayedStreamParts>
  extends ReadinessSource
  implements HostStream, MessageSenderOwner, Holder, OpenSocket
{
  abstract readonly localEndpoint: IpEndpoint | undefined;
  protected abstract readonly sender: MessageSender;
  protected readonly parts: Parts;
  protected readonly remote: IpEndpoint;
  protected readonly received: ByteQueue;
  protected isConnected = false;
  protected isClosed = false;
  /** Errno, or 0. */
  protected failure = 0;
  protected timer: HostTimer | undefined;
  /** The host's FIN, or the end of the stream, came. */
  #ended = false;
  /** The guest's FIN: to be sent, all before it sent. */
  #fin: "none" | "wanted" | "sent" = "none";

  constructor(parts: Parts, remote: IpEndpoint) {
    super();
    this.parts = parts;
    this.remote = remote;
    this.received = new ByteQueue(parts.loop.pool);
  }

  /** There is something to send on, and to be closed. */
  protected abstract get isAttached(): boolean;

  /** FIN and RST are the relay's too. */
  protected get halfCloses(): boolean {
    return false;
  }

  /** What was sent waits on this side yet. */
  protected get hasUnsent(): boolean {
    return false;
  }

  /** The stack took bytes. */
  protected abstract onTaken(count: number): void;

  /** Sends FIN; only where {@link halfCloses}. */
  protected abstract sendFin(): void;

  /** Ends it in good order, behind what was sent. */
  protected abstract endInOrder(): void;

  /** Ends it at once, RST where there is such a thing. */
  protected abstract cutOff(): void;

  get remoteEndpoint(): IpEndpoint | undefined {
    return this.isConnected ? this.remote : undefined;
  }

  /** Received and not taken. */
  get heldBytes(): number {
    return this.received.length;
  }

  receive(target: Uint8Array): number {
    if (this.isClosed) return -Errno.EBADF;
    if (this.received.length > 0 || target.length === 0) {
      const count = this.received.read(target);
      if (this.received.length === 0) this.owe(Readiness.readable);
      this.parts.budget.took(count);
      this.onTaken(count);
      return count;
    }
    if (this.failure !== 0) return -this.failure;
    if (this.#ended) return 0;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    if (this.isClosed) return -Errno.EBADF;
    if (this.failure !== 0) return -this.failure;
    if (this.#fin !== "none") return -Errno.EPIPE;
    if (!this.isConnected) return -Errno.ENOTCONN;
    if (this.#ended && !this.halfCloses) return -Errno.EPIPE;
    const wanted = first.length + (second ? second.length : 0);
    const taken = this.sender.push(first, second);
    if (taken < wanted) this.owe(Readiness.writable);
    return taken === 0 && wanted > 0 ? -Errno.EAGAIN : taken;
  }

  shutdownWrite(): void {
    if (this.isClosed || this.#fin !== "none") return;
    this.#fin = "wanted";
    if (this.isConnected && this.sender.length === 0) this.onProgress();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.silence();
    const unread = this.received.length > 0;
    this.#dropReceived();
    if (!this.isAttached || this.failure !== 0) this.finish();
    else if (this.sender.length > 0) this.#armLinger();
    else if (unread && this.halfCloses) this.cutOff();
    else this.#closeInOrder();
  }

  reset(): void {
    this.isClosed = true;
    this.silence();
    this.#dropReceived();
    this.cutOff();
  }

  /** The network ends: what was taken is still sent. */
  abandon(): void {
    this.close();
  }

  /** It holds more than there is room for: it is the one to go. */
  giveUp(): void {
    this.fail(Errno.ECONNRESET);
  }

  onRoom(): void {
    this.raise(Readiness.writable);
  }

  onProgress(): void {
    if (this.sender.length > 0) {
      if (this.isClosed) this.#armLinger();
    } else if (this.isClosed) {
      this.#closeInOrder();
    } else if (this.#fin === "wanted") {
      this.#fin = "sent";
      if (this.halfCloses) this.sendFin();
      else this.armClose();
    }
  }

  /** Bytes of the host's; the view is valid until the call returns. None at all are its FIN, where the relay knows one. */
  onData(payload: Uint8Array): void {
    this.sender.heard();
    if (payload.length === 0 && !this.halfCloses) return;
    if (this.isClosed || this.failure !== 0) return;
    this.becomeConnected();
    if (payload.length === 0) {
      this.hostEnds();
      return;
    }
    this.received.push(payload, 0, payload.length);
    this.parts.budget.kept(this, payload.length);
    if (this.#fin === "sent" && !this.halfCloses) this.armClose();
    this.raise(Readiness.readable);
  }

  /** Fails it unless it is connected in time. */
  protected armConnect(): void {
    this.setTimer(this.parts.connectTimeoutMs, () => {
      this.fail(Errno.ETIMEDOUT);
    });
  }

  /** No news of the relay's from now on is good news. */
  protected awaitRefusal(leftMs = CONFIRM_GRACE_MS): void {
    if (leftMs <= 0) {
      this.becomeConnected();
      return;
    }
    this.setTimer(CONFIRM_STEP_MS, () => {
      this.awaitRefusal(leftMs - CONFIRM_STEP_MS);
    });
  }

  protected becomeConnected(): void {
    if (this.isConnected || this.failure !== 0) return;
    this.timer?.cancel();
    this.isConnected = true;
    this.raise(Readiness.writable);
    if (this.#fin === "wanted") this.onProgress();
  }

  /** Nothing comes behind what was received. */
  protected hostEnds(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.raise(Readiness.readable);
  }

  /** The host has {@link HALF_CLOSE_MS} from now, or from when everything before is out. */
  protected armClose(): void {
    this.setTimer(HALF_CLOSE_MS, () => {
      if (this.hasUnsent) {
        this.armClose();
        return;
      }
      this.endInOrder();
      this.hostEnds();
    });
  }

  protected fail(errno: number): void {
    if (this.failure !== 0) return;
    this.failure = errno;
    this.keepError(errno);
    this.cutOff();
    this.raise(ALL_EVENTS);
  }

  /** Nothing comes and nothing goes any more. What was received may still be taken. */
  protected finish(): void {
    this.timer?.cancel();
    this.sender.stop();
    this.parts.open.delete(this);
  }

  protected setTimer(delayMs: number, callback: () => void): void {
    this.timer?.cancel();
    this.timer = this.parts.loop.setTimer(callback, delayMs);
  }

  #closeInOrder(): void {
    if (this.halfCloses || !this.sender.isUnheard) this.endInOrder();
    else this.armClose();
  }

  #armLinger(): void {
    this.setTimer(LINGER_MS, () => {
      this.cutOff();
    });
  }

  #dropReceived(): void {
    this.parts.budget.took(this.received.length);
    this.received.clear();
  }
}
