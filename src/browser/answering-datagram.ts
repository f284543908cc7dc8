/**
 * A UDP socket some of whose datagrams are answered in the page: those are handed to whoever answers, and what he says comes as if from the
 * address that was asked. All others go through the socket inside.
 */
import type { HostEndpoint, IpEndpoint } from "../address.js";
import { Errno, Readiness, type DatagramSource, type HostDatagram } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import type { OpenSocket } from "./page-host-network.js";

/** Answers that the guest has not taken, bytes at most; more are lost, as a full socket's are. */
const ANSWER_BYTES = 256 * 1024;

/** Takes what comes back, as if from `remote`; later, or never. */
export interface AnswerTaker {
  reply(bytes: Uint8Array, remote: IpEndpoint): void;
}

/** What is between the guest and the socket inside. */
export interface DatagramAnswerer {
  /** Takes a datagram, a view that is valid until the call returns, to answer it. False: it is to go its way. */
  answer(bytes: Uint8Array, remote: IpEndpoint, taker: AnswerTaker): boolean;
  /** A datagram has come in from outside; a view, valid until the call returns. */
  onReceived?(bytes: Uint8Array, source: IpEndpoint): void;
  onClose?(): void;
}

interface Answer {
  readonly endpoint: IpEndpoint;
  readonly bytes: Uint8Array;
}

/** See the top of the file. */
export class AnsweringDatagram
  extends ReadinessSource
  implements HostDatagram, AnswerTaker, OpenSocket
{
  readonly #inner: HostDatagram;
  readonly #answerer: DatagramAnswerer;
  readonly #open: Set<OpenSocket>;
  #answers: Answer[] = [];
  #answerBytes = 0;
  #closed = false;

  constructor(inner: HostDatagram, answerer: DatagramAnswerer, open: Set<OpenSocket>) {
    super();
    this.#inner = inner;
    this.#answerer = answerer;
    this.#open = open;
    open.add(this);
    inner.onReady = (events) => {
      this.raise(events);
    };
  }

  get localEndpoint(): HostEndpoint | undefined {
    return this.#inner.localEndpoint;
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#answerer.answer(bytes, remote, this)) return bytes.length;
    const sent = this.#inner.sendTo(bytes, remote);
    if (sent === -Errno.EAGAIN) this.owe(Readiness.writable);
    return sent;
  }

  nextLength(): number {
    const next = this.#answers[0];
    if (next) return next.bytes.length;
    if (this.#closed) return -Errno.EBADF;
    const length = this.#inner.nextLength();
    if (length === -Errno.EAGAIN) this.owe(Readiness.readable);
    return length;
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    const next = this.#answers.shift();
    if (next) {
      this.#answerBytes -= next.bytes.length;
      const count = Math.min(next.bytes.length, target.length);
      target.set(next.bytes.subarray(0, count));
      source.endpoint = next.endpoint;
      return count;
    }
    if (this.#closed) return -Errno.EBADF;
    const count = this.#inner.receiveFrom(target, source);
    if (count === -Errno.EAGAIN) this.owe(Readiness.readable);
    else if (count >= 0 && source.endpoint) {
      this.#answerer.onReceived?.(target.subarray(0, count), source.endpoint);
    }
    return count;
  }

  override takeError(): number {
    return this.#inner.takeError();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#answers = [];
    this.#open.delete(this);
    this.#inner.close();
    this.#answerer.onClose?.();
  }

  abandon(): void {
    this.close();
  }

  reply(bytes: Uint8Array, remote: IpEndpoint): void {
    // It may be ready at once: never from within the stack's call.
    queueMicrotask(() => {
      if (this.#closed || this.#answerBytes + bytes.length > ANSWER_BYTES) return;
      this.#answers.push({ endpoint: remote, bytes });
      this.#answerBytes += bytes.length;
      this.raise(Readiness.readable);
    });
  }
}

/** Whether two endpoints are the same. */
export function isSameEndpoint(a: IpEndpoint, b: IpEndpoint): boolean {
  return a.port === b.port && a.address === b.address;
}
