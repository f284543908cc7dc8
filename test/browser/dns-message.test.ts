/** DNS messages: what dns-packet, which we did not write, makes is read, and reads what we make; whatever else comes is survived. */
import { decode, encode, type Answer, type RecordType } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ipAddress } from "../../src/address.js";
import {
  DnsCode,
  DnsType,
  dnsTypeName,
  encodeDnsAnswer,
  fitToUdp,
  readDnsAnswer,
  readDnsQuestion,
  reverseName,
  type DnsData,
} from "../../src/browser/dns-message.js";

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
const hostName = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));

function makeQuery(name: string, type: RecordType = "A", udpPayloadSize?: number): Buffer {
  return encode({
    type: "query",
    id: 0x1234,
    flags: 0x0100,
    questions: [{ name, type }],
    ...(udpPayloadSize !== undefined && {
      additionals: [
        {
          type: "OPT",
          name: ".",
          udpPayloadSize,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    }),
  });
}

describe("a question", () => {
  it("is read as it was asked", () => {
    fc.assert(
      fc.property(hostName, fc.constantFrom<RecordType>("A", "AAAA", "PTR", "MX"), (name, type) => {
        const question = readDnsQuestion(makeQuery(name, type));
        expect(question?.name).toBe(name.toLowerCase());
        expect(dnsTypeName(question?.type ?? 0)).toBe(type);
        expect(question?.id).toBe(0x1234);
        expect(question?.maxUdpBytes).toBe(512);
      }),
    );
  });

  it("may say how long its answer may be", () => {
    expect(readDnsQuestion(makeQuery("a.test", "A", 1232))?.maxUdpBytes).toBe(1232);
    expect(readDnsQuestion(makeQuery("a.test", "A", 100))?.maxUdpBytes).toBe(512);
  });

  it("is none where it is an answer, another operation, or several", () => {
    const query = makeQuery("a.test");
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(query);
      copy[at] = value;
      return copy;
    };
    expect(readDnsQuestion(changed(2, 0x81))).toBeUndefined();
    expect(readDnsQuestion(changed(2, 0x28))).toBeUndefined();
    expect(readDnsQuestion(changed(5, 2))).toBeUndefined();
    expect(readDnsQuestion(changed(query.length - 1, 3))).toBeUndefined();
    expect(readDnsQuestion(query.subarray(0, 20))).toBeUndefined();
  });

  it("whose name leads in circles is none", () => {
    const header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    expect(readDnsQuestion(Uint8Array.from([...header, 0xc0, 12, 0, 1, 0, 1]))).toBeUndefined();
    const loop = [...header, 1, 97, 0xc0, 12, 0, 1, 0, 1];
    expect(readDnsQuestion(Uint8Array.from(loop))).toBeUndefined();
  });
});

describe("an answer", () => {
  const records: readonly DnsData[] = [
    ipAddress("192.0.2.1"),
    ipAddress("2001:db8::1"),
    { name: "host.test" },
  ];

  it("says what it was given, to others and to us", () => {
    const query = makeQuery("Some.Name.test");
    const question = readDnsQuestion(query)!;
    const answer = encodeDnsAnswer(query, question, {
      code: DnsCode.noError,
      records,
      ttlSeconds: 60,
    });
    const decoded = decode(Buffer.from(answer));
    expect(decoded).toMatchObject({
      id: 0x1234,
      type: "response",
      rcode: "NOERROR",
      flag_rd: true,
      flag_ra: true,
    });
    expect(decoded.questions).toMatchObject([{ name: "Some.Name.test", type: "A" }]);
    expect(decoded.answers).toMatchObject([
      { name: "Some.Name.test", type: "A", ttl: 60, data: "192.0.2.1" },
      { name: "Some.Name.test", type: "AAAA", ttl: 60, data: "2001:db8::1" },
      { name: "Some.Name.test", type: "PTR", ttl: 60, data: "host.test" },
    ]);
    const answers = ["192.0.2.1", "2001:db8::1", "host.test"];
    expect(readDnsAnswer(answer)).toEqual({ id: 0x1234, code: 0, answers, isTruncated: false });
  });

  it("of others is read, names compressed", () => {
    const answers: Answer[] = [
      { type: "CNAME", name: "www.host.test", data: "host.test" },
      { type: "A", name: "host.test", data: "192.0.2.9" },
      { type: "MX", name: "host.test", data: { exchange: "mail.test", preference: 1 } },
    ];
    const message = encode({
      type: "response",
      id: 7,
      flags: 3,
      questions: [{ name: "www.host.test", type: "A" }],
      answers,
    });
    expect(readDnsAnswer(message)).toEqual({
      id: 7,
      code: DnsCode.nameError,
      answers: ["host.test", "192.0.2.9", "MX"],
      isTruncated: false,
    });
  });

  it("too long for UDP is cut off behind its question, and says so", () => {
    const query = makeQuery("many.test");
    const question = readDnsQuestion(query)!;
    const many = Array.from({ length: 40 }, (_, i) => ipAddress(`192.0.2.${String(i)}`));
    const answer = encodeDnsAnswer(query, question, { code: DnsCode.noError, records: many });
    const cut = decode(Buffer.from(fitToUdp(answer, question)));
    expect(cut).toMatchObject({ flag_tc: true, answers: [] });
    expect(cut.questions).toMatchObject([{ name: "many.test" }]);
    expect(fitToUdp(answer, { ...question, maxUdpBytes: 1232 })).toBe(answer);
  });
});

it("no bytes whatever throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      readDnsQuestion(bytes);
      readDnsAnswer(bytes);
    }),
  );
  const answer = encode({
    type: "response",
    questions: [{ name: "a.test", type: "A" }],
    answers: [{ type: "A", name: "a.test", data: "192.0.2.1" }],
  });
  fc.assert(
    fc.property(fc.nat(answer.length - 1), fc.nat(255), (at, value) => {
      const broken = Buffer.from(answer);
      broken[at] = value;
      readDnsAnswer(broken);
      readDnsAnswer(broken.subarray(0, at));
      broken[2] = 1;
      readDnsQuestion(broken);
    }),
  );
});

it("addresses are asked for their names as the standards say", () => {
  expect(reverseName(ipAddress("192.0.2.17"))).toBe("17.2.0.192.in-addr.arpa");
  const zeros = "0.".repeat(23);
  expect(reverseName(ipAddress("2001:db8::1"))).toBe(`1.${zeros}8.b.d.0.1.0.0.2.ip6.arpa`);
  expect(DnsType.PTR).toBe(12);
});
