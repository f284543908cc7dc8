/**
 * Commands behind guest forwards: a process whose standard input and output are the stream.
 *
 * The command line goes to `/bin/sh -c`, so that quotes and pipes work as people expect; its standard error is the process's own. End
 * of input is the stream's FIN; the end of its output is FIN the other way. `reset`, and `close` with nothing left to
 * write, end the process by SIGTERM when it has not ended by itself.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Errno, Readiness, type HostStream } from "../host-network.js";
import { ByteQueue } from "./byte-queue.js";
import { errnoOf } from "./errno-of.js";
import type { NodeLoop, Resource } from "./node-loop.js";
import { ReadinessSource } from "./readiness-source.js";

/** Output above which the process is not read, and input above which nothing is taken: together half of the contract's bound. */
const LIMIT_BYTES = 128 * 1024;

/** Starts a command. A negative errno where no process can be had. */
export function openNodeCommand(loop: NodeLoop, commandLine: string): HostStream | number {
  try {
    const child = spawn("/bin/sh", ["-c", commandLine], { stdio: ["pipe", "pipe", "inherit"] });
    return new NodeCommand(loop, child);
  } catch (error) {
    return -errnoOf(error);
  }
}

class NodeCommand extends ReadinessSource implements HostStream, Resource {
  readonly localEndpoint = undefined;
  readonly remoteEndpoint = undefined;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #received: ByteQueue;
  #failure = 0;
  #ended = false;
  #writeEnded = false;
  #closed = false;

  constructor(loop: NodeLoop, child: ChildProcessByStdio<Writable, Readable, null>) {
    super();
    this.#child = child;
    this.#received = new ByteQueue(loop.pool);
    loop.add(this);
    child.on("error", (error) => {
      this.#fail(error);
    });
    child.on("close", () => {
      loop.remove(this);
      this.#onEnd();
    });
    child.stdin.on("error", (error) => {
      this.#fail(error);
    });
    child.stdin.on("drain", () => {
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
    const wanted = first.length + (second?.length ?? 0);
    const room = LIMIT_BYTES - this.#child.stdin.writableLength;
    if (room < wanted) this.owe(Readiness.writable);
    if (room <= 0 && wanted > 0) return -Errno.EAGAIN;
    const bytes = Buffer.concat(second ? [first, second] : [first]).subarray(0, room);
    if (bytes.length > 0) this.#child.stdin.write(bytes);
    return bytes.length;
  }

  receive(target: Uint8Array): number {
    if (this.#closed) return -Errno.EBADF;
    if (this.#received.length > 0) {
      const count = this.#received.read(target);
      if (this.#received.length === 0) this.owe(Readiness.readable);
      if (this.#received.length <= LIMIT_BYTES / 2) this.#child.stdout.resume();
      return count;
    }
    if (this.#failure !== 0) return -this.#failure;
    if (this.#ended) return 0;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  shutdownWrite(): void {
    this.#writeEnded = true;
    this.#child.stdin.end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#received.clear();
    this.#child.stdout.destroy();
    // What was taken is still written; then the process, which nobody listens to any more, is told to end.
    this.#child.stdin.end(() => this.#child.kill("SIGTERM"));
  }

  reset(): void {
    this.close();
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

  #take(data: Buffer): void {
    if (this.#closed) return;
    this.#received.push(data, 0, data.length);
    if (this.#received.length > LIMIT_BYTES) this.#child.stdout.pause();
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
