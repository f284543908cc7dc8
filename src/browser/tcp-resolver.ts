/**
 * DNS over TCP (RFC 7766) through a host network: for relays that know no UDP. A connection a question: they are few, and the guest keeps
 * answers itself.
 */
import type { IpEndpoint } from "../address.js";
import { Errno, type HostNetwork, type HostStream } from "../host-network.js";

const DEFAULT_TIMEOUT_MS = 5000;

/** See the top of the file. */
export class TcpResolver {
  readonly via = "tcp";
  readonly #network: HostNetwork;
  readonly #servers: readonly IpEndpoint[];
  readonly #timeoutMs: number;

  constructor(
    network: HostNetwork,
    servers: readonly IpEndpoint[],
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ) {
    this.#network = network;
    this.#servers = servers;
    this.#timeoutMs = timeoutMs;
  }

  /** Asks one server after the other. Rejects with what each one's problem was. */
  async resolve(query: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const problems: string[] = [];
    for (const server of this.#servers) {
      try {
        return await this.#ask(server, query, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        problems.push(
          `${server.address}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    throw new Error(problems.join("; "));
  }

  #ask(server: IpEndpoint, query: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const stream = this.#network.connectStream(server);
    if (typeof stream === "number") return Promise.reject(new Error(errnoText(-stream)));
    return new Promise<Uint8Array>((resolve, reject) => {
      const exchange = new Exchange(stream, query);
      const end = (act: () => void): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        stream.close();
        act();
      };
      const abort = (): void => {
        end(() => {
          reject(new Error("the network was closed"));
        });
      };
      const timer = setTimeout(() => {
        end(() => {
          reject(new Error(`no answer within ${this.#timeoutMs} ms`));
        });
      }, this.#timeoutMs);
      signal.addEventListener("abort", abort);
      stream.onReady = () => {
        const done = exchange.goOn();
        if (done === undefined) return;
        end(() => {
          if (typeof done === "number") reject(new Error(errnoText(done)));
          else resolve(done);
        });
      };
    });
  }
}

/** A question on its way out, and an answer on its way in, each behind its length. */
class Exchange {
  readonly #stream: HostStream;
  #unsent: Uint8Array;
  #received = new Uint8Array(2);
  #count = 0;

  constructor(stream: HostStream, query: Uint8Array) {
    this.#stream = stream;
    this.#unsent = withLength(query);
  }

  /** The answer, an errno, or undefined where there is more to wait for. Called again at each edge. */
  goOn(): Uint8Array | number | undefined {
    if (this.#unsent.length > 0) {
      const sent = this.#stream.send(this.#unsent);
      if (sent >= 0) this.#unsent = this.#unsent.subarray(sent);
      else if (sent !== -Errno.EAGAIN && sent !== -Errno.ENOTCONN) return -sent;
    }
    for (;;) {
      const count = this.#stream.receive(this.#received.subarray(this.#count));
      if (count === -Errno.EAGAIN || count === -Errno.ENOTCONN) return undefined;
      if (count <= 0) return count === 0 ? Errno.ECONNRESET : -count;
      this.#count += count;
      if (this.#count < this.#received.length) continue;
      if (this.#count > 2) return this.#received.subarray(2);
      const length = ((this.#received[0] ?? 0) << 8) | (this.#received[1] ?? 0);
      if (length === 0) return Errno.ECONNRESET;
      this.#received = new Uint8Array(2 + length);
    }
  }
}

/** A message as it goes over TCP (RFC 1035, 4.2.2). */
export function withLength(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(2 + message.length);
  framed.set([message.length >> 8, message.length & 0xff]);
  framed.set(message, 2);
  return framed;
}

function errnoText(errno: number): string {
  return Object.entries(Errno).find(([, value]) => value === errno)?.[0] ?? String(errno);
}
