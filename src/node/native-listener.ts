/**
 * Listening TCP and unix sockets of the addon.
 *
 * Connections wait in the kernel until the stack accepts them; what is too many, the kernel turns away as the system is set up. The
 * kernel says once that there is one; where none can be accepted for want of descriptors or memory, it is asked again after a while.
 */
import { unlinkSync } from "node:fs";
import type { HostEndpoint } from "../address.js";
import { Readiness, type HostListener, type HostStream, type HostTimer } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import { isShortage, type NativePoller, type NativeSocket } from "./native-poller.js";
import { NativeStream } from "./native-stream.js";
import { SocketEvent } from "./socket-addon.js";

/** How long a connection waits that could not be accepted, milliseconds. */
const RETRY_MS = 100;

export class NativeListener extends ReadinessSource implements HostListener, NativeSocket {
  readonly id: number;
  readonly localEndpoint: HostEndpoint;
  readonly #poller: NativePoller;
  readonly #lingerMs: number;
  #retry: HostTimer | undefined;
  #closed = false;

  /** Binds and listens; a negative errno where that fails. `lingerMs` is for the streams that come of it. */
  static open(
    poller: NativePoller,
    lingerMs: number,
    local: HostEndpoint,
    ipv6Only: boolean,
  ): NativeListener | number {
    const { calls, addresses } = poller;
    const id =
      local.family === "unix"
        ? calls.listenUnix(local.path)
        : calls.listen(addresses.write(local), ipv6Only);
    if (id < 0) return id;
    return new NativeListener(poller, id, lingerMs, local);
  }

  private constructor(poller: NativePoller, id: number, lingerMs: number, wanted: HostEndpoint) {
    super();
    this.id = id;
    this.#poller = poller;
    this.#lingerMs = lingerMs;
    this.localEndpoint = wanted.family === "unix" ? wanted : (poller.localEndpointOf(id) ?? wanted);
    poller.add(this);
  }

  accept(): HostStream | undefined {
    if (this.#closed) return undefined;
    const { calls, addresses } = this.#poller;
    const id = calls.accept(this.id, addresses.source);
    if (id < 0) {
      this.owe(Readiness.readable);
      if (isShortage(id)) this.#retryLater();
      return undefined;
    }
    const remote: HostEndpoint = addresses.read() ?? { family: "unix", path: "" };
    return new NativeStream({ poller: this.#poller, lingerMs: this.#lingerMs, remote }, id, true);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#retry?.cancel();
    const { localEndpoint } = this;
    this.#poller.calls.close(this.id);
    if (localEndpoint.family === "unix") removePath(localEndpoint.path);
    this.#poller.remove(this.id);
  }

  abort(): void {
    this.close();
  }

  onEvents(events: number): void {
    if (events & (SocketEvent.readable | SocketEvent.error)) this.raise(Readiness.readable);
  }

  #retryLater(): void {
    this.#retry ??= this.#poller.loop.setTimer(
      () => {
        this.#retry = undefined;
        this.raise(Readiness.readable);
      },
      RETRY_MS,
      false,
    );
  }
}

/** Somebody may have been faster. */
function removePath(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    return;
  }
}
