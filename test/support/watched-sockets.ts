/** Sockets of a watched network (watched-network.ts): the real ones, with every call counted. */
import type { HostEndpoint, IpEndpoint } from "../../src/address.js";
import type { HostDatagram, HostStream, ReadyListener } from "../../src/host-network.js";

/** How often what was called. */
export class CallCounts {
  private readonly counts = new Map<string, number>();

  count(name: string): void {
    this.counts.set(name, this.of(name) + 1);
  }

  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  /** All calls together. */
  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** What has been called, for comparing. */
  snapshot(): Record<string, number> {
    return Object.fromEntries(this.counts);
  }

  clear(): void {
    this.counts.clear();
  }
}

/** A stream, with what went through it. */
export class WatchedStream implements HostStream {
  sends = 0;
  sentBytes = 0;
  receivedBytes = 0;
  isClosed = false;
  isReset = false;
  writeIsShutDown = false;

  constructor(
    readonly inner: HostStream,
    private readonly calls: CallCounts,
  ) {}

  get localEndpoint(): HostEndpoint | undefined {
    return this.inner.localEndpoint;
  }

  get remoteEndpoint(): HostEndpoint | undefined {
    return this.inner.remoteEndpoint;
  }

  get onReady(): ReadyListener | undefined {
    return this.inner.onReady;
  }

  set onReady(listener: ReadyListener | undefined) {
    this.inner.onReady =
      listener &&
      ((events) => {
        this.calls.count("onReady");
        listener(events);
      });
  }

  takeError(): number {
    this.calls.count("takeError");
    return this.inner.takeError();
  }

  send(first: Uint8Array, second?: Uint8Array): number {
    this.calls.count("send");
    const sent = this.inner.send(first, second);
    if (sent > 0) {
      this.sends++;
      this.sentBytes += sent;
    }
    return sent;
  }

  receive(target: Uint8Array): number {
    this.calls.count("receive");
    const received = this.inner.receive(target);
    if (received > 0) this.receivedBytes += received;
    return received;
  }

  shutdownWrite(): void {
    this.calls.count("shutdownWrite");
    this.writeIsShutDown = true;
    this.inner.shutdownWrite();
  }

  close(): void {
    this.calls.count("close");
    this.isClosed = true;
    this.inner.close();
  }

  reset(): void {
    this.calls.count("reset");
    this.isReset = true;
    this.inner.reset();
  }
}

/** Counts a datagram socket's calls, and tells what is sent. */
export function watchDatagram(
  datagram: HostDatagram,
  calls: CallCounts,
  onSent: (remote: IpEndpoint, length: number) => void,
): HostDatagram {
  const sendTo = datagram.sendTo.bind(datagram);
  const receiveFrom = datagram.receiveFrom.bind(datagram);
  datagram.sendTo = (bytes, remote) => {
    calls.count("sendTo");
    const answer = sendTo(bytes, remote);
    onSent(remote, bytes.length);
    return answer;
  };
  datagram.receiveFrom = (target, source) => {
    calls.count("receiveFrom");
    return receiveFrom(target, source);
  };
  return datagram;
}
