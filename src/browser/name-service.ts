/**
 * The page's own resolver: a question comes in as a message, and the answer goes out as one.
 *
 * Names that the page knows come first; then resolvers are asked, one kind after the other; what nobody can answer is a server failure,
 * so that the guest is told and need not wait. Where there is nobody to ask, names that are not known do not exist.
 */
import {
  DnsCode,
  dnsCodeName,
  dnsTypeName,
  encodeDnsAnswer,
  readDnsAnswer,
  readDnsQuestion,
  type DnsQuestion,
} from "./dns-message.js";
import type { KnownName } from "./static-names.js";

/** A question that was answered, or was not: for a log that people read. */
export interface DnsQueryReport {
  /** As the guest asked, without a dot at the end. */
  readonly name: string;
  /** `A`, `AAAA`, `PTR`, …, `TYPE99`. */
  readonly type: string;
  /** Addresses and names; of other records the type. */
  readonly answers: readonly string[];
  /** From the question to the answer. */
  readonly durationMs: number;
  /** Who answered: the page itself, DNS over HTTPS, over TCP, or a resolver by UDP. */
  readonly via: "page" | "https" | "tcp" | "udp";
  /** Why there is no answer: `NXDOMAIN`, or what went wrong in words. */
  readonly error: string | undefined;
}

/** Who knows names without asking. */
export interface NameSource {
  /** What is known of a name, for a record type (RFC 1035, 3.2.2); undefined: others are to be asked. */
  find(name: string, type: number): KnownName | undefined;
}

/** Who is asked. */
export interface NameUpstream {
  readonly via: "https" | "tcp";
  /** The answer's message. Rejects where there is none. */
  resolve(query: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
}

/** How it is made. */
export interface NameServiceOptions {
  readonly sources: readonly NameSource[];
  readonly upstreams: readonly NameUpstream[];
  /** How long the guest may keep what the page knows, seconds. */
  readonly ttlSeconds: number;
  readonly onQuery: ((report: DnsQueryReport) => void) | undefined;
}

/** See the top of the file. */
export class NameService {
  readonly #options: NameServiceOptions;

  constructor(options: NameServiceOptions) {
    this.#options = options;
  }

  /** Whether it answers a question without asking anybody. */
  knows(query: Uint8Array): boolean {
    const question = readDnsQuestion(query);
    return question !== undefined && this.#find(question) !== undefined;
  }

  /**
   * Answers a message; undefined where it is none that has an answer. Never rejects. `upstreams`: others than its own.
   */
  async answer(
    query: Uint8Array,
    signal: AbortSignal,
    upstreams = this.#options.upstreams,
  ): Promise<Uint8Array | undefined> {
    const question = readDnsQuestion(query);
    if (!question) return undefined;
    const startMs = performance.now();
    const known =
      this.#find(question) ?? (upstreams.length === 0 ? { records: undefined } : undefined);
    if (known) {
      const { ttlSeconds } = this.#options;
      const code = known.records ? DnsCode.noError : DnsCode.nameError;
      const answer = encodeDnsAnswer(query, question, {
        code,
        records: known.records ?? [],
        ttlSeconds,
      });
      this.#report(question, answer, startMs, "page");
      return answer;
    }
    return this.#ask(query, question, { signal, upstreams, startMs });
  }

  #find({ name, type }: DnsQuestion): KnownName | undefined {
    for (const source of this.#options.sources) {
      const known = source.find(name, type);
      if (known) return known;
    }
    return undefined;
  }

  async #ask(
    query: Uint8Array,
    question: DnsQuestion,
    {
      signal,
      upstreams,
      startMs,
    }: { signal: AbortSignal; upstreams: readonly NameUpstream[]; startMs: number },
  ): Promise<Uint8Array> {
    const problems: string[] = [];
    for (const upstream of upstreams) {
      try {
        const answer = await upstream.resolve(query, signal);
        this.#report(question, answer, startMs, upstream.via);
        return answer;
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
      }
    }
    const via = upstreams.at(-1)?.via ?? "page";
    const failure = encodeDnsAnswer(query, question, { code: DnsCode.serverFailure });
    // Nobody asks any more where the network was closed.
    if (!signal.aborted) this.#report(question, failure, startMs, via, problems.join("; "));
    return failure;
  }

  #report(
    question: DnsQuestion,
    message: Uint8Array,
    startMs: number,
    via: DnsQueryReport["via"],
    problem?: string,
  ): void {
    const { onQuery } = this.#options;
    if (!onQuery) return;
    const report = reportOf(question, message, { startMs, via, problem });
    // What goes wrong there is not the resolvers' fault.
    queueMicrotask(() => {
      onQuery(report);
    });
  }
}

/** What an answer says, for the log. */
export function reportOf(
  { name, type }: DnsQuestion,
  message: Uint8Array,
  {
    startMs,
    via,
    problem,
  }: { startMs: number; via: DnsQueryReport["via"]; problem?: string | undefined },
): DnsQueryReport {
  const answer = readDnsAnswer(message);
  const code = answer && answer.code !== DnsCode.noError ? dnsCodeName(answer.code) : undefined;
  return {
    name,
    type: dnsTypeName(type),
    answers: answer?.answers ?? [],
    durationMs: performance.now() - startMs,
    via,
    error: problem === undefined ? code : `${code ?? "no answer"}: ${problem}`,
  };
}
