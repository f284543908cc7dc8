/**
 * A host network around a real one: counts what the stack asks of it, can be told to refuse, and can have a clock of its
 * own. Everything that is not refused is done by the real one.
 */
import type { HostEndpoint, IpEndpoint, IpFamily } from "../../src/address.js";
import type {
  HostDatagram,
  HostFile,
  HostListener,
  HostNetwork,
  HostStream,
  HostTimer,
  StreamOptions,
} from "../../src/host-network.js";
import { createNodeHostNetwork, type SocketChoice } from "../../src/node/node-host-network.js";
import type { ManualClock, SetTimer } from "./manual-clock.js";
import { CallCounts, watchDatagram, WatchedStream } from "./watched-sockets.js";

export interface WatchedNetworkOptions {
  /** Default: Node's, on the sockets that {@link SOCKETS_VARIABLE} says, with the resolvers below. */
  readonly inner?: HostNetwork;
  readonly clock?: ManualClock;
  /** Instead of the system's resolvers; asked anew at each question. */
  readonly dnsServers?: () => readonly IpEndpoint[];
}

/** "native" has the tests of the stack run on the addon's sockets; see test/system/native-stack.test.ts. */
export const SOCKETS_VARIABLE = "SLIRP_WASM_TEST_SOCKETS";

function socketsOfRun(): SocketChoice {
  return process.env[SOCKETS_VARIABLE] === "native" ? "native" : "node";
}

/** See the top of the file. */
export class WatchedNetwork implements HostNetwork {
  readonly name = "watched";
  readonly inner: HostNetwork;
  readonly calls = new CallCounts();
  readonly streams: WatchedStream[] = [];
  /** Told of the end of each turn. */
  onEndTurn: (() => void) | undefined;
  readonly listeners: HostListener[] = [];
  /** What the stack opened, with the address it said to leave from. */
  readonly connects: { readonly remote: HostEndpoint; readonly local: IpEndpoint | undefined }[] =
    [];
  /** Every datagram that was sent, with where to. */
  readonly datagramsSent: { readonly remote: IpEndpoint; readonly length: number }[] = [];
  /** Refuses to connect at once, by the negative errno that it answers. */
  refuseConnect: ((remote: HostEndpoint) => number | undefined) | undefined;
  /** Instead of connecting: a stream that fails, with this errno (positive), once the stack listens to it. */
  failConnect: ((remote: HostEndpoint) => number | undefined) | undefined;
  /** Refuses UDP sockets, by the negative errno that it answers. */
  refuseDatagram: (() => number | undefined) | undefined;

  readonly openFile?: (path: string) => HostFile | number;
  readonly openCommand?: (commandLine: string) => HostStream | number;

  private readonly clock: ManualClock | undefined;
  private readonly realTimers = new Set<SetTimer>();
  private readonly resolvers: (() => readonly IpEndpoint[]) | undefined;

  constructor(options: WatchedNetworkOptions = {}) {
    const inner = options.inner ?? createNodeHostNetwork({ sockets: socketsOfRun() });
    this.inner = inner;
    this.clock = options.clock;
    this.resolvers = options.dnsServers;
    if (inner.openFile) this.openFile = (path) => inner.openFile?.(path) ?? NaN;
    if (inner.openCommand) this.openCommand = (line) => inner.openCommand?.(line) ?? NaN;
  }

  /** Timers that the stack has set. */
  timers(): SetTimer[] {
    return this.clock?.timers() ?? [...this.realTimers];
  }

  connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    this.calls.count("connectStream");
    this.connects.push({ remote, local: options?.local });
    const refused = this.refuseConnect?.(remote);
    if (refused !== undefined) return refused;
    const errno = this.failConnect?.(remote);
    const stream =
      errno === undefined ? this.inner.connectStream(remote, options) : failingStream(errno);
    return typeof stream === "number" ? stream : this.watch(stream);
  }

  async listenStream(local: HostEndpoint, options?: { ipv6Only?: boolean }): Promise<HostListener> {
    this.calls.count("listenStream");
    const listener = await this.inner.listenStream(local, options);
    this.listeners.push(listener);
    const accept = listener.accept.bind(listener);
    listener.accept = () => {
      this.calls.count("accept");
      const stream = accept();
      return stream && this.watch(stream);
    };
    return listener;
  }

  openDatagram(family: IpFamily, options?: { local?: IpEndpoint }): HostDatagram | number {
    this.calls.count("openDatagram");
    const refused = this.refuseDatagram?.();
    if (refused !== undefined) return refused;
    const datagram = this.inner.openDatagram(family, options);
    return typeof datagram === "number" ? datagram : this.watchDatagram(datagram);
  }

  async bindDatagram(local: IpEndpoint, options?: { ipv6Only?: boolean }): Promise<HostDatagram> {
    this.calls.count("bindDatagram");
    return this.watchDatagram(await this.inner.bindDatagram(local, options));
  }

  openEcho(family: IpFamily): HostDatagram | number {
    this.calls.count("openEcho");
    return this.inner.openEcho(family);
  }

  dnsServers(): readonly IpEndpoint[] {
    return this.resolvers?.() ?? this.inner.dnsServers();
  }

  nowMs(): number {
    return this.clock?.nowMs ?? this.inner.nowMs();
  }

  dateMs(): number {
    return this.inner.dateMs();
  }

  scheduleTurn(callback: () => void): void {
    this.calls.count("scheduleTurn");
    this.inner.scheduleTurn(callback);
  }

  endTurn(): void {
    this.onEndTurn?.();
    this.inner.endTurn?.();
  }

  setTimer(callback: () => void, delayMs: number, keepAlive = true): HostTimer {
    this.calls.count("setTimer");
    if (this.clock) return this.clock.setTimer(callback, delayMs, keepAlive);
    const entry: SetTimer = { dueMs: this.nowMs() + delayMs, keepAlive };
    this.realTimers.add(entry);
    const fire = (): void => {
      this.realTimers.delete(entry);
      callback();
    };
    const timer = this.inner.setTimer(fire, delayMs, keepAlive);
    const cancel = (): void => {
      this.realTimers.delete(entry);
      timer.cancel();
    };
    return { cancel };
  }

  ref(): void {
    this.inner.ref();
  }

  unref(): void {
    this.inner.unref();
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  private watch(stream: HostStream): WatchedStream {
    const watched = new WatchedStream(stream, this.calls);
    this.streams.push(watched);
    return watched;
  }

  private watchDatagram(datagram: HostDatagram): HostDatagram {
    return watchDatagram(datagram, this.calls, (remote, length) => {
      this.datagramsSent.push({ remote, length });
    });
  }
}

/** A stream that cannot connect, as one of the real ones tells it: an error, some time after the call. */
function failingStream(errno: number): HostStream {
  let pending = errno;
  let listener: ((events: number) => void) | undefined;
  let isClosed = false;
  const close = (): void => {
    isClosed = true;
  };
  return {
    localEndpoint: undefined,
    remoteEndpoint: undefined,
    get onReady() {
      return listener;
    },
    set onReady(value) {
      listener = value;
      // 1 readable, 2 writable, 8 error: an error is told with both (src/host-network.ts).
      setTimeout(() => {
        if (!isClosed) listener?.(1 | 2 | 8);
      }, 1);
    },
    takeError: () => {
      const error = pending;
      pending = 0;
      return error;
    },
    send: () => -errno,
    receive: () => -errno,
    shutdownWrite: () => undefined,
    close,
    reset: close,
  };
}
