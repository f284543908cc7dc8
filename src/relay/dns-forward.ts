/**
 * Asks resolvers for somebody else: by UDP, and by TCP where the answer does not fit into a datagram (RFC 7766). Each question goes out
 * from a socket of its own, connected to the resolver, under an id that nobody can guess: who is not the resolver cannot answer it.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns";
import { once } from "node:events";
import { connect, isIP, isIPv6 } from "node:net";
import { ErrorCode, SlirpError } from "../errors.js";
import { isAnswerTo, isTruncated, withId, type DnsQuestion } from "./dns-question.js";

/** Where a resolver is. */
export interface ResolverAddress {
  readonly address: string;
  readonly port: number;
}

const DNS_PORT = 53;
/** How long the system's resolvers are remembered. */
const SYSTEM_FRESH_MS = 5000;
/** A resolver that has not answered for so long is not waited for while there is another. */
const FIRST_TRY_MS = 1500;

/** Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`. @throws SlirpError `invalidConfiguration`. */
export function parseResolver(text: string): ResolverAddress {
  const match =
    /^(?<address>[\d.]+)(?::(?<port>\d{1,5}))?$/.exec(text) ??
    /^\[(?<address>[^\]]+)\](?::(?<port>\d{1,5}))?$/.exec(text) ??
    /^(?<address>[0-9a-f:.]+(?:%.+)?)$/i.exec(text);
  const { address = "", port = String(DNS_PORT) } = match?.groups ?? {};
  if (isIP(address) !== 0 && Number(port) >= 1 && Number(port) <= 65_535) {
    return { address, port: Number(port) };
  }
  const message = `resolver "${text}": write an IP address, with or without a port: "192.0.2.1", "[2001:db8::1]:5353"`;
  throw new SlirpError(ErrorCode.invalidConfiguration, message);
}

/** The system's resolvers, as they are now. */
export function systemResolvers(): () => readonly ResolverAddress[] {
  let known: readonly ResolverAddress[] = [];
  let freshUntil = -Infinity;
  return () => {
    if (performance.now() >= freshUntil) {
      // A new one reads the system's configuration; Node's own has read it once.
      known = new Resolver().getServers().map(parseResolver);
      freshUntil = performance.now() + SYSTEM_FRESH_MS;
    }
    return known;
  };
}

/** Asks one resolver after the other. Answers under the query's own id, or undefined where none has answered in time. */
export async function askResolvers(
  query: Uint8Array,
  question: DnsQuestion,
  resolvers: readonly ResolverAddress[],
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const overall = AbortSignal.timeout(timeoutMs);
  const ownId = new DataView(query.buffer, query.byteOffset).getUint16(0);
  for (const [index, resolver] of resolvers.entries()) {
    const isLast = index === resolvers.length - 1;
    const signal = isLast ? overall : AbortSignal.any([overall, AbortSignal.timeout(FIRST_TRY_MS)]);
    const answer = await ask(query, question, resolver, signal).catch(() => undefined);
    if (answer) return withId(answer, ownId);
    if (overall.aborted) return undefined;
  }
  return undefined;
}

async function ask(
  query: Uint8Array,
  question: DnsQuestion,
  resolver: ResolverAddress,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const id = randomInt(0x10000);
  const renamed = withId(query, id);
  const isOurs = (answer: Uint8Array): boolean => isAnswerTo(answer, question, id);
  const answer = await askByUdp(renamed, resolver, isOurs, signal);
  if (!isTruncated(answer)) return answer;
  // An answer in part is better than none.
  return askByTcp(renamed, resolver, isOurs, signal).catch(() => answer);
}

async function askByUdp(
  query: Uint8Array,
  { address, port }: ResolverAddress,
  isOurs: (answer: Uint8Array) => boolean,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  try {
    socket.connect(port, address);
    await once(socket, "connect", { signal });
    socket.send(query);
    for (;;) {
      const [answer] = (await once(socket, "message", { signal })) as [Buffer];
      if (isOurs(answer)) return answer;
    }
  } finally {
    // An error that comes after the answer is nobody's.
    socket.on("error", () => undefined);
    socket.close();
  }
}

async function askByTcp(
  query: Uint8Array,
  { address, port }: ResolverAddress,
  isOurs: (answer: Uint8Array) => boolean,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const socket = connect({ host: address, port, signal });
  try {
    const framed = Buffer.allocUnsafe(2 + query.length);
    framed.writeUInt16BE(query.length);
    framed.set(query, 2);
    socket.write(framed);
    let received = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const end = 2 + received.readUInt16BE();
        const answer = received.subarray(2, end);
        if (isOurs(answer)) return answer;
        received = received.subarray(end);
      }
    }
    throw new Error("the resolver has closed the connection without an answer");
  } finally {
    socket.destroy();
  }
}
