/**
 * Watches questions that a socket sends to resolvers elsewhere, and their answers: the log of names is whole then, whoever answers.
 */
import { formatEndpoint, type IpEndpoint } from "../address.js";
import { dnsTypeName, readDnsQuestion, type DnsQuestion } from "./dns-message.js";
import { reportOf, type DnsQueryReport } from "./name-service.js";

/** Questions of a socket that wait for their answer; beyond, the oldest is given up. */
const MAX_PENDING = 64;

interface Pending {
  readonly question: DnsQuestion;
  readonly startMs: number;
}

/** See the top of the file. One for each socket. */
export class NameLog {
  readonly #onQuery: (report: DnsQueryReport) => void;
  readonly #pending = new Map<string, Pending>();

  constructor(onQuery: (report: DnsQueryReport) => void) {
    this.#onQuery = onQuery;
  }

  /** A datagram goes to a resolver. */
  onSent(bytes: Uint8Array, remote: IpEndpoint): void {
    const question = readDnsQuestion(bytes);
    if (!question) return;
    const key = keyOf(question.id, remote);
    const before = this.#pending.get(key);
    // The same question again is a guest's patience, not a new one.
    if (before && before.question.name === question.name && before.question.type === question.type)
      return;
    this.#pending.set(key, { question, startMs: performance.now() });
    if (this.#pending.size <= MAX_PENDING) return;
    const [oldest] = this.#pending.keys();
    if (oldest !== undefined) this.#giveUp(oldest);
  }

  /** A datagram has come from a resolver. */
  onReceived(bytes: Uint8Array, source: IpEndpoint): void {
    if (bytes.length < 2) return;
    const key = keyOf(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), source);
    const pending = this.#pending.get(key);
    if (!pending) return;
    this.#pending.delete(key);
    const { question, startMs } = pending;
    const report = reportOf(question, bytes, { startMs, via: "udp" });
    // Not from within the stack's call.
    queueMicrotask(() => {
      this.#onQuery(report);
    });
  }

  /** The socket is closed: who has not been answered will not be. */
  onClose(): void {
    for (const key of [...this.#pending.keys()]) this.#giveUp(key);
  }

  #giveUp(key: string): void {
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    if (!pending) return;
    const { question, startMs } = pending;
    const durationMs = performance.now() - startMs;
    const { name } = question;
    const type = dnsTypeName(question.type);
    queueMicrotask(() => {
      this.#onQuery({ name, type, answers: [], durationMs, via: "udp", error: "no answer" });
    });
  }
}

function keyOf(id: number, remote: IpEndpoint): string {
  return `${id} ${formatEndpoint(remote)}`;
}
