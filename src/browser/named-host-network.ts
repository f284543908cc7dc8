/**
 * NAMES for a host network: a layer that answers what the guest asks of name servers, where the network below cannot, or should not.
 *
 *     withNames(network, { static: { "files.test": "10.0.2.2" }, doh: "https://resolver.example/dns-query" })
 *
 * Answered in the page are names that are listed, and, where resolvers are given here, all others, by DNS over HTTPS or over TCP. The stack
 * is then told of a name server that is nowhere (192.0.0.53) and so comes to nobody else. Where only names are listed, the network's own
 * resolvers stay, and what is not listed goes to them as it came. UDP and TCP are served alike; answers come from the address that was
 * asked, which the stack translates for the guest.
 */
import { ipEndpoint, type HostEndpoint, type IpEndpoint } from "../address.js";
import { ChunkPool } from "../byte-queue.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { HostNetwork, HostStream, StreamOptions } from "../host-network.js";
import { isSameEndpoint, type AnswerTaker, type DatagramAnswerer } from "./answering-datagram.js";
import { AnsweringLayer } from "./answering-layer.js";
import { fitToUdp, readDnsQuestion } from "./dns-message.js";
import { DohResolver } from "./doh-resolver.js";
import { NameLog } from "./name-log.js";
import {
  NameService,
  type DnsQueryReport,
  type NameSource,
  type NameUpstream,
} from "./name-service.js";
import { PageStream, type PagePeer } from "./page-stream.js";
import { StaticNames, type StaticNameTable } from "./static-names.js";
import { TcpResolver, withLength } from "./tcp-resolver.js";

/** How names are answered. */
export interface NameOptions {
  /** Names that the page knows. Default none. */
  readonly static?: StaticNameTable;
  /** DNS over HTTPS: URLs of resolvers that pages may ask, best first. Default none. */
  readonly doh?: string | readonly string[];
  /** How they are asked. Default POST. */
  readonly dohMethod?: "POST" | "GET";
  /** Resolvers that are asked by TCP through the network, for relays without UDP: `1.1.1.1`, best first. Behind `doh`. Default none. */
  readonly tcp?: string | IpEndpoint | readonly (string | IpEndpoint)[];
  /** How long each resolver has, milliseconds. Default 5000. */
  readonly timeoutMs?: number;
  /** Answer what the guest asks of any name server (port 53), not of its own only. Default false. */
  readonly interceptAll?: boolean;
  /** How long the guest may keep what the page knows, seconds. Default 60. */
  readonly ttlSeconds?: number;
  /** Told of every question, also of those that go to the network's resolvers by UDP. */
  readonly onQuery?: (report: DnsQueryReport) => void;
  /** For DNS over HTTPS. Default: the global one. */
  readonly fetch?: typeof fetch;
  /** More that the page knows, after `static`. */
  readonly sources?: readonly NameSource[];
}

const DNS_PORT = 53;
const DEFAULT_TTL_SECONDS = 60;
const MAX_PENDING = 256;

/** Out of 192.0.0.0/24, which is nobody's (RFC 6890). */
const PAGE_RESOLVER = ipEndpoint("192.0.0.53", DNS_PORT);

/**
 * Puts names before a host network, which is closed with the layer.
 * @throws SlirpError `invalidConfiguration` naming the entry or URL that cannot be.
 */
export function withNames(network: HostNetwork, options: NameOptions): HostNetwork {
  return new NamedHostNetwork(network, options);
}

class NamedHostNetwork extends AnsweringLayer {
  readonly #options: NameOptions;
  readonly #service: NameService;
  /** Resolvers are given here, and asked for whatever is not known. */
  readonly #asksOthers: boolean;
  readonly #pool = new ChunkPool();
  /** Questions that came by UDP and are being answered. */
  #pending = 0;

  constructor(inner: HostNetwork, options: NameOptions) {
    super(inner);
    this.#options = options;
    const upstreams = makeUpstreams(inner, options);
    this.#asksOthers = upstreams.length > 0;
    this.#service = new NameService({
      sources: [new StaticNames(options.static ?? {}), ...(options.sources ?? [])],
      upstreams,
      ttlSeconds: options.ttlSeconds ?? DEFAULT_TTL_SECONDS,
      onQuery: options.onQuery,
    });
  }

  override dnsServers(): readonly IpEndpoint[] {
    const servers = this.#asksOthers ? [] : this.inner.dnsServers();
    return servers.length > 0 ? servers : [PAGE_RESOLVER];
  }

  override connectStream(remote: HostEndpoint, options?: StreamOptions): HostStream | number {
    if (remote.family === "unix" || !this.#isNameServer(remote) || this.signal.aborted) {
      return this.inner.connectStream(remote, options);
    }
    // Names that are listed, and for the others the very server that the guest asks.
    const upstreams = this.#goesOn
      ? [new TcpResolver(this.inner, [remote], this.#options.timeoutMs)]
      : undefined;
    return new PageStream({ pool: this.#pool, open: this.open }, remote, (peer) =>
      this.#serve(peer, upstreams),
    );
  }

  #isNameServer(remote: IpEndpoint): boolean {
    if (this.#options.interceptAll === true && remote.port === DNS_PORT) return true;
    return this.dnsServers().some((server) => isSameEndpoint(server, remote));
  }

  /** What is not known here goes on to the server that was asked. */
  get #goesOn(): boolean {
    return !this.#asksOthers && this.inner.dnsServers().length > 0;
  }

  protected override makeAnswerer(): DatagramAnswerer {
    const { onQuery } = this.#options;
    const log = onQuery && new NameLog(onQuery);
    return {
      answer: (bytes, remote, taker) => {
        const isServer = this.#isNameServer(remote);
        const isHere = isServer && (!this.#goesOn || this.#service.knows(bytes));
        if (isHere) this.#answer(Uint8Array.from(bytes), remote, taker);
        else if (isServer || remote.port === DNS_PORT) log?.onSent(bytes, remote);
        return isHere;
      },
      onReceived: (bytes, source) => log?.onReceived(bytes, source),
      onClose: () => log?.onClose(),
    };
  }

  #answer(query: Uint8Array, remote: IpEndpoint, taker: AnswerTaker): void {
    // More than that at once is a flood: UDP may lose what is too much.
    if (this.#pending >= MAX_PENDING) return;
    this.#pending++;
    void this.#service.answer(query, this.signal).then((answer) => {
      this.#pending--;
      const question = readDnsQuestion(query);
      if (answer && question) taker.reply(fitToUdp(answer, question), remote);
    });
  }

  /** DNS over TCP: messages behind their lengths, answered in order. */
  async #serve(peer: PagePeer, upstreams: readonly NameUpstream[] | undefined): Promise<void> {
    let gathered = new Uint8Array();
    for (;;) {
      const length = 2 + (((gathered[0] ?? 0) << 8) | (gathered[1] ?? 0));
      if (gathered.length < 2 || gathered.length < length) {
        const piece = await peer.read();
        if (!piece) return;
        const joined = new Uint8Array(gathered.length + piece.length);
        joined.set(gathered);
        joined.set(piece, gathered.length);
        gathered = joined;
        continue;
      }
      const query = gathered.slice(2, length);
      gathered = gathered.slice(length);
      const answer = await this.#service.answer(query, this.signal, upstreams);
      // What is no question has no answer, and nothing behind it can be trusted.
      if (!answer) return;
      await peer.write(withLength(answer));
    }
  }
}

function makeUpstreams(inner: HostNetwork, options: NameOptions): NameUpstream[] {
  const { doh, dohMethod, tcp, timeoutMs, fetch } = options;
  const upstreams: NameUpstream[] = [];
  const urls = doh === undefined ? [] : typeof doh === "string" ? [doh] : doh;
  if (urls.length > 0)
    upstreams.push(new DohResolver({ urls, method: dohMethod, timeoutMs, fetch }));
  const listed = tcp === undefined ? [] : isList(tcp) ? tcp : [tcp];
  const servers = listed.map((server) =>
    typeof server === "string" ? readServer(server) : server,
  );
  if (servers.length > 0) upstreams.push(new TcpResolver(inner, servers, timeoutMs));
  return upstreams;
}

function readServer(text: string): IpEndpoint {
  try {
    return ipEndpoint(text, DNS_PORT);
  } catch (cause) {
    const message = `tcp "${text}": it must be a resolver's IP address, such as 1.1.1.1`;
    throw new SlirpError(ErrorCode.invalidConfiguration, message, { cause });
  }
}

/** Array.isArray forgets what is in a readonly array. */
function isList(
  tcp: string | IpEndpoint | readonly (string | IpEndpoint)[],
): tcp is readonly (string | IpEndpoint)[] {
  return Array.isArray(tcp);
}
