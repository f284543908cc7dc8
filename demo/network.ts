/** The page's network: one stack, a switch before it with a port for each guest, and the way out that was chosen. */
import {
  CaptureMemory,
  createSlirp,
  createSwitch,
  PcapngWriter,
  withCapture,
  type CapturingBackend,
  type DnsQueryReport,
  type FrameSwitch,
  type NetBackend,
  type RelayStatus,
  type HttpRequestReport,
  type RefusedConnection,
  type SlirpBackend,
} from "slirp-wasm/browser";
import { relayOf, type Choice, type HostSettings } from "./settings.js";

const HTTP_PORT = 80;

/** What the page is told. */
export interface NetworkEvents {
  onStatus(text: string, state: "idle" | "open" | "failed"): void;
  onMessage(text: string): void;
  onQuery(report: DnsQueryReport): void;
}

/** See the top of the file. */
export class Network {
  /** What was captured last. */
  readonly capture = new CaptureMemory();
  readonly #switch: FrameSwitch;
  readonly #ports: CapturingBackend[] = [];
  #writer: PcapngWriter | undefined;

  private constructor(
    readonly slirp: SlirpBackend,
    /** A page that the guest can fetch, as it names it; undefined where none is known. */
    readonly hello: string | undefined,
  ) {
    this.#switch = createSwitch(slirp);
  }

  /** Makes the stack. */
  static async start(choice: Choice, host: HostSettings, events: NetworkEvents): Promise<Network> {
    const dns = {
      static: host.names ?? {},
      onQuery: (report: DnsQueryReport) => {
        events.onQuery(report);
      },
    };
    const relay = relayOf(choice, host);
    const worker = choice.worker;
    if (relay === undefined) {
      events.onStatus("Ready; HTTP goes out by this page's own requests", "idle");
      return new Network(
        await createSlirp({ http: fetchOptions(events), dns, worker }),
        host.hello,
      );
    }
    const wisp = {
      onStatus: (status: RelayStatus) => {
        showRelay(status, events);
      },
      ...(host.dnsServers && { dnsServers: host.dnsServers }),
    };
    events.onStatus(`Ready; ${new URL(relay.url).host} is connected to when it is needed`, "idle");
    return new Network(await createSlirp({ relay, wisp, dns, worker }), host.hello);
  }

  /** A guest's place on the switch. */
  openPort(name: string): NetBackend {
    const port = withCapture(this.#switch.openPort(name));
    this.#ports.push(port);
    if (this.#writer) port.startCapture(this.#writer, { interfaceName: name });
    return port;
  }

  get isCapturing(): boolean {
    return this.#writer !== undefined;
  }

  /** Captures all guests' frames from now on, in place of what was captured before. */
  startCapture(): void {
    this.#writer = new PcapngWriter(this.capture);
    for (const port of this.#ports) port.startCapture(this.#writer);
  }

  stopCapture(): void {
    this.#writer = undefined;
    for (const port of this.#ports) port.stopCapture();
  }
}

/** HTTP at every port that the page's host is likely to use; what cannot be is told. */
function fetchOptions(events: NetworkEvents) {
  const own = Number(location.port) || HTTP_PORT;
  return {
    ports: [...new Set([HTTP_PORT, own])],
    onRequest: ({ method, url, status, error }: HttpRequestReport) => {
      events.onMessage(
        error === undefined ? `${method} ${url}: ${String(status)}` : `${url}: ${error}`,
      );
    },
    onRefused: ({ hint }: RefusedConnection) => {
      events.onMessage(hint);
    },
  };
}

/** A relay's status in words. */
function showRelay({ state, url, message }: RelayStatus, events: NetworkEvents): void {
  const { host } = new URL(url);
  const words: Record<RelayStatus["state"], string> = {
    idle: `Not connected to ${host}`,
    connecting: `Connecting to ${host}`,
    open: `Connected through ${host}`,
    waiting: `${host} cannot be reached: ${message}`,
    closed: "Closed",
  };
  events.onStatus(
    words[state],
    state === "open" ? "open" : state === "waiting" ? "failed" : "idle",
  );
}
