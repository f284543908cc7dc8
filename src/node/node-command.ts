/**
 * Commands behind guest forwards: a process whose standard input and output are the stream.
 *
 * The command line goes to `/bin/sh -c`, so that quotes and pipes work as people expect; its standard error is the process's
 * own. End of input is the stream's FIN; the end of its output is FIN the other way. A command that has stopped reading
 * (`head -1`) fails further sending, while the rest of its output can still be read.
 *
 * After `close` the command gets what was taken, then end of input, and a broken pipe where it writes: most end by that.
 * One that has not is sent SIGTERM {@link GRACE_MS} after its last input, or after the linger time if it does not take
 * that. `reset` sends SIGTERM at once.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Errno, Readiness, type HostStream } from "../host-network.js";
import { ByteQueue } from "../byte-queue.js";
import { errnoOf } from "./errno-of.js";
import type { NodeLoop, Resource } from "./node-loop.js";
import { ReadinessSource } from "../readiness-source.js";
import { SendQueue, type SendQueueOwner } from "./send-queue.js";

/** Output above which the process is not read; up to as much again may arrive nevertheless. */
const PAUSE_BYTES = 128 * 1024;

/** How long a command may go on after the end of its input when nobody listens any more, milliseconds. */
const GRACE_MS = 2000;

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** Starts a command; `lingerMs` as for streams. A negative errno where no process can be had. */
export function openNodeCommand(
  loop: NodeLoop,
  lingerMs: number,
  commandLine: string,
): HostStream | number {
  try {
    const child = spawn("/bin/sh", ["-c", commandLine], { stdio: ["pipe", "pipe", "inherit"] });
    if (hasPipes(child)) return new NodeCommand(loop, lingerMs, child);
    // No descriptor left: Node makes a child without pipes, and tells the reason by an event.
    child.on("error", () => undefined);
    return -Errno.EMFILE;
  } catch (error) {
    return -errnoOf(error);
  }
}

function hasPipes(child: { readonly stdin?: unknown; readonly stdout?: unknown }): boolean {
  return Boolean(child.stdin) && Boolean(child.stdout);
}

class NodeCommand extends ReadinessSource implements HostStream, Resource, SendQueueOwner {
  readonly localEndpoint = undefined;
  readonly remoteEndpoint = undefined;
  readonly #child: Child;
  readonly #lingerMs: number;
  readonly #received: ByteQueue;
  readonly #toSend: SendQueue;
  /** What made the command fail to start, and what made it fail to take input: errnos, or 0. */
  #failure = 0;
  #inputFailure = 0;
  #ended = false;
  #writeEnded = false;
  #closed = false;

  constructor(loop: NodeLoop, lingerMs: number, child: Child) {
    super();
    this.#child = child;
    this.#lingerMs = lingerMs;
    this.#received = new ByteQueue(loop.pool);
    this.#toSend = new SendQueue(loop, child.stdin, this);
    loop.add(this);
    child.on("error", (error) => {
      this.#fail(error);
    });
    child.on("close", () => {
      loop.remove(this);
      this.#onEnd();
    });
    child.stdin.on("error", (error) => {
      this.#inputFailure = errnoOf(error);
      this.raise(Readiness.writable);
    });
    child.stdout.on("data", (data: Buffer) => {
      this.#take(data);
    });
    child.stdout.on("end", () => {
      this.#onEnd();
    });
    child.stdout.on("error", (error) => {
      this.#fail(error);
    });
    this.raise(Readiness.writable);
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#failure !== 0) return -this.#failure;
    if (this.#writeEnded) return -Errno.EPIPE;
    if (this.#inputFailure !== 0) return -this.#inputFailure;
    const wanted = first.length + (second?.length ?? 0);
    const taken = this.#toSend.push(first, second);
    if (taken < wanted) this.owe(Readiness.writable);
    return taken === 0 && wanted > 0 ? -Errno.EAGAIN : taken;
  }

  receive(target: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#received.length > 0 || target.length === 0) {
      const count = this.#received.read(target);
      if (this.#received.length === 0) this.owe(Readiness.readable);
      if (this.#received.length <= PAUSE_BYTES / 2) this.#child.stdout.resume();
      return count;
    }
    if (this.#failure !== 0) return -this.#failure;
    if (this.#ended) return 0;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  shutdownWrite(): void {
    if (this.#closed || this.#writeEnded) return;
    this.#writeEnded = true;
    this.#toSend.flushSoon();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#received.clear();
    this.#child.stdout.destroy();
    this.#toSend.flushSoon();
    const hasInput = this.mayWrite && this.#toSend.length > 0;
    this.#terminateAfter(hasInput ? this.#lingerMs : GRACE_MS);
  }

  reset(): void {
    this.close();
    this.#toSend.clear();
    this.#child.stdin.destroy();
    this.#child.kill("SIGTERM");
  }

  abort(): void {
    this.reset();
    this.#child.kill("SIGKILL");
  }

  setRef(hold: boolean): void {
    // Pipes of a child are sockets, whatever their type says.
    for (const handle of [this.#child, this.#child.stdin as Socket, this.#child.stdout as Socket]) {
      if (hold) handle.ref();
      else handle.unref();
    }
  }

  get mayWrite(): boolean {
    return !this.#child.stdin.destroyed;
  }

  onRoom(): void {
    this.raise(Readiness.writable);
  }

  onAllWritten(): void {
    if (this.#child.stdin.writableEnded || !(this.#closed || this.#writeEnded)) return;
    this.#child.stdin.end();
    if (this.#closed) this.#terminateAfter(GRACE_MS);
  }

  #terminateAfter(delayMs: number): void {
    const timer = setTimeout(() => this.#child.kill("SIGTERM"), delayMs);
    // The process that waits for its child is held by the child, not by this.
    timer.unref();
    this.#child.once("close", () => {
      clearTimeout(timer);
    });
  }

  #take(data: Buffer): void {
    if (this.#closed) return;
    this.#received.push(data, 0, data.length);
    if (this.#received.length > PAUSE_BYTES) this.#child.stdout.pause();
    this.raise(Readiness.readable);
  }

  #onEnd(): void {
    this.#ended = true;
    this.raise(Readiness.readable);
  }

  #fail(error: Error): void {
    if (this.#failure !== 0) return;
    this.#failure = errnoOf(error);
    this.keepError(this.#failure);
    this.raise(Readiness.readable | Readiness.writable | Readiness.error);
  }
}
