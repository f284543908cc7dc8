/**
 * Our side, used as the stack uses it: try, and where the answer is EAGAIN, wait for the edge that is owed.
 *
 * While a call is under way it is noted, and an `onReady` that comes then is a failure of every case ("the stack would be
 * re-entered"), as is one after `close` or `reset`.
 */
import { expect } from "vitest";
import {
  Errno,
  Readiness,
  type DatagramSource,
  type HostDatagram,
  type HostListener,
  type HostSocket,
  type HostStream,
} from "../../src/host-network.js";
import { testBytes } from "./test-data.js";

/** A negative errno by name, for messages that can be read. */
export function answerName(answer: number): string {
  const name = Object.entries(Errno).find(([, value]) => value === -answer)?.[0];
  return answer < 0 ? `-${name ?? String(-answer)}` : String(answer);
}

/** Waits one turn of the event loop: whatever was put off to a microtask or to the next events has happened. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits for what was put off to the end of this very event, before any other. */
export function nextTick(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether a call on any socket is under way. */
let inCall = false;

/** Common to all three kinds of socket. */
class SocketUser<Kind extends HostSocket> {
  readonly socket: Kind;
  /** Every edge that came. */
  readonly edges: number[] = [];
  #arrived = 0;
  #waiting: (() => void)[] = [];
  #over = false;

  constructor(socket: Kind) {
    this.socket = socket;
    this.call(() => (socket.onReady = (events) => this.#onReady(events)));
  }

  /** Calls the socket; no edge may come meanwhile. */
  call<Answer>(act: () => Answer): Answer {
    inCall = true;
    try {
      return act();
    } finally {
      inCall = false;
    }
  }

  /** Forgets the edges of `events` that came so far: a call has answered EAGAIN. */
  forget(events: number): void {
    this.#arrived &= ~events;
  }

  /** Waits for one of `events`, or for an error, unless it came since the last `forget`. */
  async edge(events: number): Promise<void> {
    while ((this.#arrived & (events | Readiness.error)) === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    this.#over = true;
    this.call(() => this.socket.close());
  }

  takeError(): number {
    return this.call(() => this.socket.takeError());
  }

  protected end(act: () => void): void {
    this.#over = true;
    this.call(act);
  }

  #onReady(events: number): void {
    expect(inCall, "onReady from within a call of the stack").toBe(false);
    expect(this.#over, "onReady after close or reset").toBe(false);
    this.edges.push(events);
    this.#arrived |= events;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** One call's worth of a stream, as the stack takes it. */
const RECEIVE_BYTES = 32 * 1024;

export class StreamUser extends SocketUser<HostStream> {
  /** Waits until connected; answers 0, or the errno that it failed with. */
  async connected(): Promise<number> {
    await this.edge(Readiness.writable);
    return this.takeError();
  }

  tryReceive(target: Uint8Array): number {
    const answer = this.call(() => this.socket.receive(target));
    if (answer === -Errno.EAGAIN || (answer > 0 && answer < target.length)) {
      this.forget(Readiness.readable);
    }
    return answer;
  }

  trySend(first: Uint8Array, second?: Uint8Array): number {
    const answer = this.call(() => this.socket.send(first, second));
    const wanted = first.length + (second?.length ?? 0);
    if (answer === -Errno.EAGAIN || (answer >= 0 && answer < wanted)) {
      this.forget(Readiness.writable);
    }
    return answer;
  }

  /** The next answer of `receive` other than EAGAIN. */
  async receive(target: Uint8Array): Promise<number> {
    for (;;) {
      const answer = this.tryReceive(target);
      if (answer !== -Errno.EAGAIN) return answer;
      await this.edge(Readiness.readable);
    }
  }

  /** Everything up to `limit` bytes or the end of the stream; throws at an error. */
  async receiveBytes(limit = Infinity): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = limit; left > 0;) {
      const target = Buffer.alloc(Math.min(left, RECEIVE_BYTES));
      const count = await this.receive(target);
      if (count < 0) throw new Error(`receive answered ${answerName(count)}`);
      if (count === 0) break;
      pieces.push(target.subarray(0, count));
      left -= count;
    }
    return Buffer.concat(pieces);
  }

  /** Sends all of `bytes`; throws at an error. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      const answer = this.trySend(bytes.subarray(sent));
      if (answer === -Errno.EAGAIN) await this.edge(Readiness.writable);
      else if (answer < 0) throw new Error(`send answered ${answerName(answer)}`);
      else sent += answer;
    }
  }

  shutdownWrite(): void {
    this.call(() => this.socket.shutdownWrite());
  }

  reset(): void {
    this.end(() => this.socket.reset());
  }
}

/** Sends until nothing more is taken, without a turn of the event loop; answers what was taken. */
export function sendUntilFull(user: StreamUser): Buffer {
  const piece = testBytes(60_000);
  const taken: Buffer[] = [];
  for (;;) {
    const answer = user.trySend(piece);
    if (answer === -Errno.EAGAIN) return Buffer.concat(taken);
    if (answer < 0) throw new Error(`send answered ${answerName(answer)}`);
    taken.push(piece.subarray(0, answer));
  }
}

export class ListenerUser extends SocketUser<HostListener> {
  async accept(): Promise<StreamUser> {
    for (;;) {
      const stream = this.tryAccept();
      if (stream) return stream;
      await this.edge(Readiness.readable);
    }
  }

  tryAccept(): StreamUser | undefined {
    const stream = this.call(() => this.socket.accept());
    if (stream) return new StreamUser(stream);
    this.forget(Readiness.readable);
    return undefined;
  }
}

export class DatagramUser extends SocketUser<HostDatagram> {
  readonly source: DatagramSource = { endpoint: undefined };

  /** The next answer of `nextLength` other than EAGAIN. */
  async nextLength(): Promise<number> {
    for (;;) {
      const answer = this.call(() => this.socket.nextLength());
      if (answer !== -Errno.EAGAIN) return answer;
      this.forget(Readiness.readable);
      await this.edge(Readiness.readable);
    }
  }

  /** The next answer of `receiveFrom`, without waiting. */
  tryReceive(target: Uint8Array): number {
    const answer = this.call(() => this.socket.receiveFrom(target, this.source));
    if (answer === -Errno.EAGAIN) this.forget(Readiness.readable);
    return answer;
  }

  /** The next datagram. */
  async receive(): Promise<Buffer> {
    const length = await this.nextLength();
    if (length < 0) throw new Error(`nextLength answered ${answerName(length)}`);
    const target = Buffer.alloc(length);
    expect(this.tryReceive(target)).toBe(length);
    return target;
  }

  trySend(bytes: Uint8Array, remote: NonNullable<DatagramSource["endpoint"]>): number {
    const answer = this.call(() => this.socket.sendTo(bytes, remote));
    if (answer === -Errno.EAGAIN) this.forget(Readiness.writable);
    return answer;
  }
}

/** The socket, where a call that may also answer a negative errno gave one. */
export function opened<Kind>(answer: Kind | number): Kind {
  if (typeof answer === "number") throw new Error(`could not be opened: ${answerName(answer)}`);
  return answer;
}
