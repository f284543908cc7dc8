/**
 * What every host network of a page has in common: clock and event loop, what a page cannot do, and an end in good order.
 *
 * A page opens no ports, sends no ICMP and has no UDP of its own: who can do better overrides it. Where there is no UDP the guest is told so
 * by ICMP, at once, and need not wait for answers that cannot come.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../address.js";
import {
  Errno,
  type HostDatagram,
  type HostListener,
  type HostNetwork,
  type HostStream,
  type HostTimer,
  type StreamOptions,
} from "../host-network.js";
import { PageLoop } from "./page-loop.js";
import { UnreachableDatagram } from "./unreachable-datagram.js";

/** How long `close` waits for streams to get rid of what they took. */
const CLOSE_TIMEOUT_MS = 2000;
const CLOSE_POLL_MS = 5;

/** A socket, as the network's end sees it. */
export interface OpenSocket {
  /** Ends it in good order; it leaves the set of open ones when it is done. */
  abandon(): void;
  /** Time is up. */
  reset?(): void;
}

/** See the top of the file. */
export abstract class PageHostNetwork implements HostNetwork {
  abstract readonly name: string;
  protected readonly loop = new PageLoop();
  protected readonly open = new Set<OpenSocket>();
  #closing: Promise<void> | undefined;

  abstract connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number;

  listenStream(_local: HostEndpoint, _options?: { ipv6Only?: boolean }): Promise<HostListener> {
    return Promise.reject(this.cannotListen());
  }

  openDatagram(_family: IpFamily): HostDatagram | number {
    return this.isClosing ? -Errno.ENETDOWN : new UnreachableDatagram();
  }

  bindDatagram(_local: IpEndpoint, _options?: { ipv6Only?: boolean }): Promise<HostDatagram> {
    return Promise.reject(this.cannotListen());
  }

  openEcho(): HostDatagram | number {
    return -Errno.ENOTSUP;
  }

  dnsServers(): readonly IpEndpoint[] {
    return [];
  }

  nowMs(): number {
    return performance.now();
  }

  dateMs(): number {
    return Date.now();
  }

  scheduleTurn(callback: () => void): void {
    this.loop.scheduleTurn(callback);
  }

  setTimer(callback: () => void, delayMs: number): HostTimer {
    return this.loop.setTimer(callback, delayMs);
  }

  ref(): void {
    // A page is not held by its sockets.
  }

  unref(): void {
    // Nor let go.
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** `close` was called: nothing new may be opened. */
  protected get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** Gives back what belongs to no socket, after the last of them. */
  protected release(): void {
    // Most have nothing.
  }

  /** Why it opens no ports, for `addForward`. */
  protected readonly cannotListenReason: string = "a page opens no ports";

  protected cannotListen(): Error {
    const message = this.isClosing ? "the host network is closed" : this.cannotListenReason;
    return Object.assign(new Error(message), { code: this.isClosing ? "ENETDOWN" : "ENOTSUP" });
  }

  async #close(): Promise<void> {
    this.loop.close();
    // Streams in good order first; who has not got rid of everything then is cut off.
    for (const socket of [...this.open]) socket.abandon();
    const deadlineMs = this.nowMs() + CLOSE_TIMEOUT_MS;
    while (this.open.size > 0 && this.nowMs() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, CLOSE_POLL_MS));
    }
    for (const socket of [...this.open]) socket.reset?.();
    this.release();
  }
}
