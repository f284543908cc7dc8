/**
 * A resolver on a loopback address: answers from a table, over UDP and TCP at the same port, and remembers what it was
 * asked and how. Real DNS messages (RFC 1035), by the package dns-packet.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { AUTHORITATIVE_ANSWER, decode, encode, TRUNCATED_RESPONSE, type Answer } from "dns-packet";
import { ipEndpoint, type IpEndpoint } from "../../../src/address.js";

/** What a name stands for. */
export interface DnsName {
  readonly a?: string;
  readonly aaaa?: string;
  /** Answers over UDP say that they are cut off, so that the client asks again over TCP. Default: false. */
  readonly onlyOverTcp?: boolean;
}

/** One question. */
export interface DnsQuestion {
  readonly transport: "udp" | "tcp";
  readonly name: string;
  readonly type: string;
}

const TRIES = 20;
const TTL_SECONDS = 60;
/** RCODE of RFC 1035: there is no such name. */
const NAME_ERROR = 3;

/** See the top of the file. */
export class DnsResolver {
  readonly questions: DnsQuestion[] = [];
  readonly #names: ReadonlyMap<string, DnsName>;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #sockets = new Set<Socket>();

  static async start(
    host: string,
    names: Readonly<Record<string, DnsName>>,
    port = 0,
  ): Promise<DnsResolver> {
    for (let tries = 0; ; tries++) {
      const tcp = createServer();
      tcp.listen(port, host);
      await once(tcp, "listening");
      const udp = createSocket(host.includes(":") ? "udp6" : "udp4");
      try {
        udp.bind((tcp.address() as AddressInfo).port, host);
        await once(udp, "listening");
        return new DnsResolver(names, udp, tcp);
      } catch (error) {
        // The port that TCP had free is taken for UDP: another one then.
        tcp.close();
        udp.close();
        if (tries === TRIES || port !== 0) throw error;
      }
    }
  }

  private constructor(names: Readonly<Record<string, DnsName>>, udp: UdpSocket, tcp: Server) {
    this.#names = new Map(Object.entries(names));
    this.#udp = udp;
    this.#tcp = tcp;
    udp.on("message", (message, { port, address }) => {
      udp.send(this.#answer(message, "udp"), port, address);
    });
    tcp.on("connection", (socket) => {
      this.#serve(socket);
    });
  }

  /** As the host network takes it: `127.0.0.1:5353`, `[::1]:5353`. */
  get server(): string {
    const { address, family, port } = this.#udp.address();
    return family === "IPv6" ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
  }

  get endpoint(): IpEndpoint {
    const { address, port } = this.#udp.address();
    return ipEndpoint(address, port);
  }

  /** Questions for a name, over one transport. */
  asked(name: string, transport: "udp" | "tcp"): DnsQuestion[] {
    return this.questions.filter((each) => each.name === name && each.transport === transport);
  }

  /** Over TCP each message stands behind its length in two bytes. */
  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
    let gathered = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      gathered = Buffer.concat([gathered, chunk]);
      while (gathered.length >= 2 && gathered.length >= 2 + gathered.readUInt16BE(0)) {
        const length = gathered.readUInt16BE(0);
        const answer = this.#answer(gathered.subarray(2, 2 + length), "tcp");
        gathered = gathered.subarray(2 + length);
        const prefix = Buffer.alloc(2);
        prefix.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([prefix, answer]));
      }
    });
  }

  #answer(message: Buffer, transport: "udp" | "tcp"): Buffer {
    const { id = 0, questions = [] } = decode(message);
    const answers: Answer[] = [];
    let isKnown = false;
    let isTruncated = false;
    for (const { name, type } of questions) {
      this.questions.push({ transport, name, type });
      const entry = this.#names.get(name);
      if (!entry) continue;
      isKnown = true;
      isTruncated ||= entry.onlyOverTcp === true && transport === "udp";
      const data = type === "A" ? entry.a : type === "AAAA" ? entry.aaaa : undefined;
      if (data === undefined || isTruncated) continue;
      answers.push({ type: type as "A" | "AAAA", name, ttl: TTL_SECONDS, data });
    }
    const flags =
      AUTHORITATIVE_ANSWER | (isTruncated ? TRUNCATED_RESPONSE : 0) | (isKnown ? 0 : NAME_ERROR);
    return encode({ type: "response", id, flags, questions, answers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#udp.close();
    this.#tcp.close();
    await Promise.all([once(this.#udp, "close"), once(this.#tcp, "close")]);
  }
}
