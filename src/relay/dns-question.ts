/**
 * What a relay must know of a DNS message that it passes on (RFC 1035, 4): what is asked, whether an answer belongs to it, and for how long
 * the answer holds. Pure; what cannot be read is undefined, never an exception.
 */
import { decode } from "dns-packet";

/** Bytes before the question. */
const HEADER_BYTES = 12;
/** Type and class behind the name. */
const QUESTION_TAIL_BYTES = 4;
const MAX_NAME_BYTES = 255;
/** Bits of the flags, and of the answer code. */
const Flag = { isAnswer: 0x8000, opcode: 0x7800, truncated: 0x0200, recursionAvailable: 0x0080 };
const ANSWER_CODE_MASK = 0x000f;
const AnswerCode = { noError: 0, noSuchName: 3, refused: 5 } as const;

/** A question that may be passed on. */
export interface DnsQuestion {
  /** The name, without a dot at its end; "" for the root. */
  readonly name: string;
  /** Header's end to question's end. */
  readonly questionBytes: Uint8Array;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a query: one question, of the usual kind. */
export function readQuestion(query: Uint8Array): DnsQuestion | undefined {
  if (query.length < HEADER_BYTES) return undefined;
  const view = viewOf(query);
  const isQuery = (view.getUint16(2) & (Flag.isAnswer | Flag.opcode)) === 0;
  if (!isQuery || view.getUint16(4) !== 1) return undefined;
  const labels: string[] = [];
  for (let at = HEADER_BYTES; at < query.length && at < HEADER_BYTES + MAX_NAME_BYTES;) {
    const length = query[at] ?? 0;
    if (length === 0) {
      const end = at + 1 + QUESTION_TAIL_BYTES;
      if (end > query.length) return undefined;
      return { name: labels.join("."), questionBytes: query.subarray(HEADER_BYTES, end) };
    }
    // Compressed, or longer than a label can be.
    if (length > 63) return undefined;
    labels.push(Buffer.from(query.subarray(at + 1, at + 1 + length)).toString("latin1"));
    at += 1 + length;
  }
  return undefined;
}

/** Whether a message answers the question, under this id. */
export function isAnswerTo(
  answer: Uint8Array,
  { questionBytes }: DnsQuestion,
  id: number,
): boolean {
  const end = HEADER_BYTES + questionBytes.length;
  if (answer.length < HEADER_BYTES) return false;
  const view = viewOf(answer);
  if (view.getUint16(0) !== id || (view.getUint16(2) & Flag.isAnswer) === 0) return false;
  // A resolver that cannot read the question may leave it out.
  if (view.getUint16(4) === 0) return true;
  return Buffer.compare(answer.subarray(HEADER_BYTES, end), questionBytes) === 0;
}

/** Whether there is more than fitted into a datagram. */
export function isTruncated(answer: Uint8Array): boolean {
  return (viewOf(answer).getUint16(2) & Flag.truncated) !== 0;
}

/** The same message under another id. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(message);
  viewOf(copy).setUint16(0, id);
  return copy;
}

/** The answer REFUSED to a query. */
export function refuseQuery(query: Uint8Array, { questionBytes }: DnsQuestion): Uint8Array {
  const answer = new Uint8Array(HEADER_BYTES + questionBytes.length);
  answer.set(query.subarray(0, HEADER_BYTES + questionBytes.length));
  const view = viewOf(answer);
  // What is not an answer to it: opcode and "recursion desired" stay.
  const kept = view.getUint16(2) & 0x7900;
  view.setUint16(2, kept | Flag.isAnswer | Flag.recursionAvailable | AnswerCode.refused);
  for (const count of [6, 8, 10]) view.setUint16(count, 0);
  return answer;
}

/**
 * Seconds that an answer may be kept (RFC 8484, 5.1): the shortest time to live in it; of one without an answer, what its SOA record says
 * (RFC 2308, 5). Undefined: not at all.
 */
export function freshnessOf(answer: Uint8Array): number | undefined {
  const code = viewOf(answer).getUint16(2) & ANSWER_CODE_MASK;
  if (code !== AnswerCode.noError && code !== AnswerCode.noSuchName) return undefined;
  try {
    const { answers = [], authorities = [] } = decode(Buffer.from(answer));
    const seconds =
      answers.length > 0
        ? answers.map((record) => ("ttl" in record ? (record.ttl ?? 0) : 0))
        : authorities.flatMap((record) =>
            record.type === "SOA" ? [Math.min(record.ttl ?? 0, record.data.minimum ?? 0)] : [],
          );
    return seconds.length === 0 ? undefined : Math.min(...seconds);
  } catch {
    return undefined;
  }
}
