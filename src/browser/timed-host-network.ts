/**
 * TIME for a host network: a layer that answers the guest's NTP questions from the page's own clock, where the network below cannot reach
 * a time server (Simple NTP, RFC 4330 5 and 6; the message is RFC 5905's, 7.3).
 */
import { parseIpAddress, type IpEndpoint } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { HostNetwork } from "../host-network.js";
import type { DatagramAnswerer } from "./answering-datagram.js";
import { AnsweringLayer } from "./answering-layer.js";

/** Which time servers the page stands for. */
export interface TimeOptions {
  /** Their addresses. Default: every address. */
  readonly servers?: readonly string[];
}

const NTP_PORT = 123;
const MESSAGE_BYTES = 48;
const Mode = { client: 3, server: 4 } as const;
/** Far from a reference clock: another server, where the guest has one, is better. */
const STRATUM = 10;
/** A millisecond, as a power of two seconds. */
const PRECISION = -10;
/** What the page's clock may be wrong by, in 1/65536 seconds: a tenth of a second. */
const ROOT_DISPERSION = 6554;
/** "A local clock", as time servers call it. */
const REFERENCE_ID = 0x7f7f_0101;
/** From 1900 to 1970 (RFC 5905, 6). */
const EPOCH_SECONDS = 2_208_988_800;

/**
 * Puts a clock before a host network, which is closed with the layer.
 * @throws SlirpError `invalidConfiguration` for a server that is no IP address.
 */
export function withTime(network: HostNetwork, options: TimeOptions = {}): HostNetwork {
  return new TimedHostNetwork(network, options);
}

class TimedHostNetwork extends AnsweringLayer {
  readonly #servers: ReadonlySet<string> | undefined;

  constructor(inner: HostNetwork, { servers }: TimeOptions) {
    super(inner);
    this.#servers = servers && new Set(servers.map(readServer));
  }

  protected override makeAnswerer(): DatagramAnswerer {
    return {
      answer: (bytes, remote, taker) => {
        if (remote.port !== NTP_PORT || !this.#standsFor(remote)) return false;
        const answer = answerNtp(bytes, this.dateMs());
        if (answer) taker.reply(answer, remote);
        return true;
      },
    };
  }

  #standsFor({ address }: IpEndpoint): boolean {
    return this.#servers?.has(address) ?? true;
  }
}

/** The answer to a client's message; undefined where it is something else. `dateMs`: since 1970. */
export function answerNtp(query: Uint8Array, dateMs: number): Uint8Array | undefined {
  const [first = 0] = query;
  const version = (first >> 3) & 7;
  if (query.length < MESSAGE_BYTES || (first & 7) !== Mode.client || version === 0)
    return undefined;
  const answer = new Uint8Array(MESSAGE_BYTES);
  const view = new DataView(answer.buffer);
  answer.set([(version << 3) | Mode.server, STRATUM, query[2] ?? 0]);
  view.setInt8(3, PRECISION);
  view.setUint32(8, ROOT_DISPERSION);
  view.setUint32(12, REFERENCE_ID);
  // Reference, receive and transmit are now; originate is what the client says its own time was.
  for (const at of [16, 32, 40]) writeTimestamp(view, at, dateMs);
  answer.set(query.subarray(40, 48), 24);
  return answer;
}

/** Seconds since 1900, which begin again in 2036, and a fraction (RFC 5905, 6). */
function writeTimestamp(view: DataView, at: number, dateMs: number): void {
  const seconds = Math.floor(dateMs / 1000);
  view.setUint32(at, (seconds + EPOCH_SECONDS) % 2 ** 32);
  view.setUint32(at + 4, Math.floor(((dateMs - seconds * 1000) / 1000) * 2 ** 32));
}

function readServer(text: string): string {
  const address = parseIpAddress(text);
  if (address) return address.address;
  const message = `time server "${text}": it must be an IP address`;
  throw new SlirpError(ErrorCode.invalidConfiguration, message);
}
