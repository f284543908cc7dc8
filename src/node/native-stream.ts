/**
 * Streams on sockets of the addon: BSD's calls, with the contract's words for their answers.
 *
 * Nothing is held here: what the stack sends is in the kernel when the call returns, what it has not read is there still, and the kernel's
 * buffers are the bound. So most of this file is about knowing when a call is not worth making:
 * - after a read that did not fill its target there is nothing until the next event, and nobody asks the kernel to hear that;
 * - after a write that was cut short, likewise;
 * - FIN that has come is announced by its event, together with the data before it or behind it; then reading goes on until it is read.
 *
 * An error is told by the kernel once. It is kept here, and answered again and again.
 */
import type { HostEndpoint } from "../address.js";
import { Errno, Readiness, type HostStream } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import { NativeLinger } from "./native-linger.js";
import type { NativePoller, NativeSocket } from "./native-poller.js";
import { SocketEvent } from "./socket-addon.js";

const ALL_EVENTS = Readiness.readable | Readiness.writable | Readiness.error | Readiness.hangup;
const FAILED = SocketEvent.error | SocketEvent.hangup;
const READ_EVENTS = SocketEvent.readable | SocketEvent.urgent | SocketEvent.readEnd | FAILED;
const READ_END = SocketEvent.readEnd | FAILED;

/** What a stream is made of, besides its socket. */
export interface NativeStreamParts {
  readonly poller: NativePoller;
  /** How long a closed stream may wait for its reader, milliseconds without progress. */
  readonly lingerMs: number;
  readonly remote: HostEndpoint;
}

export class NativeStream extends ReadinessSource implements HostStream, NativeSocket {
  /** 0: there is no socket (any more). */
  id: number;
  readonly #parts: NativeStreamParts;
  #connected: boolean;
  /** Nothing can be read until the next event. */
  #drained = false;
  /** Nothing can be written until the next event. */
  #full = false;
  /** FIN or worse has come and is not read yet; urgent data may cut a read short. */
  #endComes = false;
  #hasUrgent = false;
  #ended = false;
  #shutDown = false;
  /** What ended the stream before its time: an errno, or 0. */
  #failure = 0;
  #closed = false;
  #local: HostEndpoint | undefined;

  /** Takes over the socket `id`, or stands for one that could not connect: a negative errno. */
  constructor(parts: NativeStreamParts, id: number, connected: boolean) {
    super();
    this.#parts = parts;
    this.#connected = connected;
    this.id = Math.max(id, 0);
    if (id > 0) {
      parts.poller.add(this);
    } else {
      // As told by an event, so that who connects has one way to hear of it; EAGAIN: a unix listener's queue is full.
      this.#fail(id === -Errno.EAGAIN ? Errno.ENOBUFS : -id);
    }
  }

  get localEndpoint(): HostEndpoint | undefined {
    if (this.#local || !this.#connected || this.id === 0) return this.#local;
    const { remote, poller } = this.#parts;
    this.#local =
      remote.family === "unix" ? { family: "unix", path: "" } : poller.localEndpointOf(this.id);
    return this.#local;
  }

  get remoteEndpoint(): HostEndpoint | undefined {
    return this.#connected ? this.#parts.remote : undefined;
  }

  receive(target: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (target.length === 0) return 0;
    if (this.#drained || !this.#connected) return this.#nothing();
    const count = this.#parts.poller.calls.receive(this.id, target);
    if (count === target.length) return count;
    if (count > 0) {
      this.owe(Readiness.readable);
      if (this.#endComes || this.#hasUrgent) this.#tellEnd();
      else this.#drained = true;
      return count;
    }
    if (count === -Errno.EAGAIN && this.#failure === 0) {
      this.#drained = true;
      return this.#nothing();
    }
    if (count < 0) this.#failInCall(-count);
    if (this.#failure !== 0) return -this.#failure;
    this.#ended = true;
    return 0;
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#failure !== 0) return -this.#failure;
    if (this.#shutDown) return -Errno.EPIPE;
    if (!this.#connected) return -Errno.ENOTCONN;
    const wanted = first.length + (second ? second.length : 0);
    if (wanted === 0) return 0;
    const taken = this.#full
      ? -Errno.EAGAIN
      : this.#parts.poller.calls.send(this.id, first, second);
    if (taken === wanted) return taken;
    if (taken >= 0 || taken === -Errno.EAGAIN) {
      this.#full = true;
      this.owe(Readiness.writable);
      return taken;
    }
    this.#failInCall(-taken);
    return -this.#failure;
  }

  shutdownWrite(): void {
    if (this.#closed || this.#shutDown) return;
    this.#shutDown = true;
    // The kernel ends a connection that is not made yet; then it waits for that.
    if (this.#connected && this.id !== 0) this.#parts.poller.calls.shutdownWrite(this.id);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    const { id } = this;
    const { poller, lingerMs } = this.#parts;
    if (id === 0) return;
    if (!this.#connected || this.#failure !== 0) {
      this.#release();
    } else if (poller.calls.finish(id, false) > 0) {
      poller.add(new NativeLinger(poller, id, lingerMs));
      this.id = 0;
    } else {
      this.id = 0;
      poller.remove(id);
    }
  }

  reset(): void {
    this.#closed = true;
    this.silence();
    const { id } = this;
    if (id === 0) return;
    this.#parts.poller.calls.reset(id);
    this.#release();
  }

  abort(): void {
    this.reset();
  }

  onEvents(events: number): void {
    if (!this.#connected && !this.#finishConnecting(events)) return;
    if (events & SocketEvent.error) {
      const error = this.#parts.poller.calls.takeError(this.id);
      if (error < 0) this.#fail(-error);
    }
    let ready = 0;
    if (events & READ_EVENTS) {
      this.#drained = false;
      if (events & READ_END) this.#endComes = true;
      if (events & SocketEvent.urgent) this.#hasUrgent = true;
      ready |= Readiness.readable;
    }
    if (events & SocketEvent.writable) {
      this.#full = false;
      ready |= Readiness.writable;
    }
    if (events & SocketEvent.hangup) ready |= Readiness.hangup;
    this.raise(ready);
  }

  /** Whether the stream is connected now. */
  #finishConnecting(events: number): boolean {
    const error =
      events & (FAILED | SocketEvent.writable) ? this.#parts.poller.calls.takeError(this.id) : 0;
    if (error < 0) {
      this.#release();
      this.#fail(-error);
    } else if (events & SocketEvent.writable) {
      this.#connected = true;
      if (this.#shutDown) this.#parts.poller.calls.shutdownWrite(this.id);
    }
    return this.#connected;
  }

  #nothing(): number {
    if (this.#failure !== 0) return -this.#failure;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  /** More is there, and its event has come already: who does not read on at once is told again. */
  #tellEnd(): void {
    queueMicrotask(() => {
      if (!this.#ended) this.raise(Readiness.readable);
    });
  }

  #fail(errno: number): void {
    if (this.#failure !== 0) return;
    this.#failure = errno;
    this.#drained = false;
    this.keepError(errno);
    this.raise(ALL_EVENTS);
  }

  /** The same where a call of the stack found it. */
  #failInCall(errno: number): void {
    if (this.#failure !== 0) return;
    this.#failure = errno;
    this.keepError(errno);
    queueMicrotask(() => {
      this.raise(ALL_EVENTS);
    });
  }

  #release(): void {
    const { id } = this;
    if (id === 0) return;
    this.id = 0;
    this.#parts.poller.calls.close(id);
    this.#parts.poller.remove(id);
  }
}
