/**
 * Names answered in the page: by a list, by DNS over HTTPS, by DNS over TCP, or, where none of these knows, by the network's own resolvers.
 * The network below is Node's, the resolver a real one on loopback.
 */
import { decode, encode, type RecordType } from "dns-packet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import type { DnsQueryReport } from "../../src/browser/name-service.js";
import { withNames, type NameOptions } from "../../src/browser/named-host-network.js";
import { ErrorCode } from "../../src/errors.js";
import type { HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { DatagramUser, opened, StreamUser } from "../host-network-contract/stack-side.js";
import { DnsResolver, type DnsName } from "../support/host/dns-resolver.js";
import { DohServer } from "../support/host/doh-server.js";

const NAMES: Readonly<Record<string, DnsName>> = {
  "real.test": { a: "192.0.2.1", aaaa: "2001:db8::1" },
};
const NOWHERE = "http://127.0.0.1:1/dns-query";

let resolver: DnsResolver;
let doh: DohServer;
let reports: DnsQueryReport[];
const networks: HostNetwork[] = [];

beforeEach(async () => {
  resolver = await DnsResolver.start("127.0.0.1", NAMES);
  doh = await DohServer.start(resolver.server);
  reports = [];
});

afterEach(async () => {
  for (const network of networks.splice(0)) await network.close();
  await doh[Symbol.asyncDispose]();
  await resolver[Symbol.asyncDispose]();
});

function makeNetwork(options: NameOptions, dnsServers = [resolver.server]): HostNetwork {
  const onQuery = (report: DnsQueryReport): number => reports.push(report);
  const network = withNames(createNodeHostNetwork({ dnsServers }), { onQuery, ...options });
  networks.push(network);
  return network;
}

function makeQuery(name: string, type: RecordType): Buffer {
  const id = Math.floor(Math.random() * 65536);
  return encode({ type: "query", id, flags: 0x0100, questions: [{ name, type }] });
}

interface Reply {
  readonly code: string;
  readonly data: unknown[];
  readonly source: IpEndpoint | undefined;
}

function readReply(query: Buffer, message: Buffer): Omit<Reply, "source"> {
  const {
    id,
    answers = [],
    rcode,
  } = decode(message) as ReturnType<typeof decode> & { rcode: string };
  expect(id).toBe(query.readUInt16BE(0));
  return {
    code: rcode,
    data: answers.map((answer) => ("data" in answer ? answer.data : undefined)),
  };
}

/** Asks as a guest does: the first server the network names, or the one given, by UDP. */
async function ask(
  network: HostNetwork,
  name: string,
  {
    type = "A",
    server = network.dnsServers()[0]!,
  }: { type?: RecordType; server?: IpEndpoint } = {},
): Promise<Reply> {
  const user = new DatagramUser(opened(network.openDatagram(4)));
  const query = makeQuery(name, type);
  expect(user.trySend(query, server)).toBe(query.length);
  const message = await user.receive();
  user.close();
  return { ...readReply(query, message), source: user.source.endpoint };
}

/** The same by TCP, several questions on one connection. */
async function askByTcp(
  network: HostNetwork,
  names: readonly string[],
): Promise<Omit<Reply, "source">[]> {
  const stream = new StreamUser(opened(network.connectStream(network.dnsServers()[0]!)));
  expect(await stream.connected()).toBe(0);
  const queries = names.map((name) => makeQuery(name, "A"));
  const framed = queries.flatMap((query) => [
    Buffer.from([query.length >> 8, query.length & 255]),
    query,
  ]);
  await stream.sendBytes(Buffer.concat(framed));
  const replies: Omit<Reply, "source">[] = [];
  for (const query of queries) {
    const length = (await stream.receiveBytes(2)).readUInt16BE(0);
    replies.push(readReply(query, await stream.receiveBytes(length)));
  }
  stream.shutdownWrite();
  expect(await stream.receiveBytes()).toHaveLength(0);
  stream.close();
  return replies;
}

describe("names that are listed", () => {
  const table = {
    "host.test": ["192.0.2.7", "2001:db8::7"],
    "*.wild.test": "192.0.2.8",
    "own.wild.test": "192.0.2.9",
    "gone.test": null,
    "Loud.Test.": "192.0.2.10",
  };

  it.each<[string, RecordType, string, unknown[]]>([
    ["host.test", "A", "NOERROR", ["192.0.2.7"]],
    ["HOST.test", "AAAA", "NOERROR", ["2001:db8::7"]],
    ["host.test", "MX", "NOERROR", []],
    ["a.b.wild.test", "A", "NOERROR", ["192.0.2.8"]],
    ["own.wild.test", "A", "NOERROR", ["192.0.2.9"]],
    ["loud.test", "A", "NOERROR", ["192.0.2.10"]],
    ["gone.test", "A", "NXDOMAIN", []],
    ["7.2.0.192.in-addr.arpa", "PTR", "NOERROR", ["host.test"]],
  ])("are answered in the page: %s %s", async (name, type, code, data) => {
    const network = makeNetwork({ static: table });
    const server = network.dnsServers()[0];
    expect(await ask(network, name, { type })).toEqual({ code, data, source: server });
    expect(resolver.questions).toEqual([]);
    const error = code === "NOERROR" ? undefined : code;
    expect(reports).toMatchObject([
      { name: name.toLowerCase(), type, answers: data, via: "page", error },
    ]);
  });

  it("leave the others to the network's resolver, which is watched", async () => {
    const network = makeNetwork({ static: table });
    expect(await ask(network, "real.test")).toMatchObject({ data: ["192.0.2.1"] });
    expect(await ask(network, "nobody.test")).toMatchObject({ code: "NXDOMAIN" });
    expect(resolver.questions).toHaveLength(2);
    expect(reports).toMatchObject([
      { name: "real.test", type: "A", answers: ["192.0.2.1"], via: "udp", error: undefined },
      { name: "nobody.test", answers: [], via: "udp", error: "NXDOMAIN" },
    ]);
  });

  it("are answered by TCP too, on one connection with others", async () => {
    const replies = await askByTcp(makeNetwork({ static: table }), ["host.test", "real.test"]);
    expect(replies).toMatchObject([{ data: ["192.0.2.7"] }, { data: ["192.0.2.1"] }]);
    expect(reports.map(({ via }) => via)).toEqual(["page", "tcp"]);
  });

  it("are all there is where the network has no resolver", async () => {
    const network = makeNetwork({ static: table }, []);
    expect(await ask(network, "host.test")).toMatchObject({ data: ["192.0.2.7"] });
    expect(await ask(network, "real.test")).toMatchObject({ code: "NXDOMAIN" });
  });

  it.each<[string, NameOptions["static"]]>([
    ["a name", { "not a name": "192.0.2.1" }],
    ["an IP address", { "a.test": "192.0.2" }],
  ])("must be what they seem: %s", (what, table) => {
    expect(() => makeNetwork({ static: table! })).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(what) as string,
      }),
    );
  });
});

describe("DNS over HTTPS", () => {
  it.each(["POST", "GET"] as const)("asks by %s, the id being left out", async (method) => {
    const network = makeNetwork({ doh: doh.url, dohMethod: method });
    expect(await ask(network, "real.test")).toMatchObject({ code: "NOERROR", data: ["192.0.2.1"] });
    expect(doh.requests.map((request) => request.method)).toEqual([method]);
    expect(doh.requests[0]?.message.readUInt16BE(0)).toBe(0);
    expect(reports).toMatchObject([{ name: "real.test", via: "https", error: undefined }]);
  });

  it("answers by TCP, and knows listed names without asking", async () => {
    const network = makeNetwork({ doh: doh.url, static: { "host.test": "192.0.2.7" } });
    const replies = await askByTcp(network, ["host.test", "real.test", "nobody.test"]);
    expect(replies).toMatchObject([
      { data: ["192.0.2.7"] },
      { data: ["192.0.2.1"] },
      { code: "NXDOMAIN" },
    ]);
    expect(doh.requests).toHaveLength(2);
  });

  it("goes on to the next resolver, and stays there", async () => {
    const network = makeNetwork({ doh: [NOWHERE, doh.url] });
    expect(await ask(network, "real.test")).toMatchObject({ data: ["192.0.2.1"] });
    expect(await ask(network, "real.test")).toMatchObject({ data: ["192.0.2.1"] });
    expect(reports.map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  it.each(["status", "type", "silence", "rubbish"] as const)(
    "is a server failure where resolvers fail by %s, and says why",
    async (fault) => {
      doh.fault = fault;
      const network = makeNetwork({ doh: [NOWHERE, doh.url], timeoutMs: 300 });
      expect(await ask(network, "real.test")).toMatchObject({ code: "SERVFAIL", data: [] });
      const words = { status: "503", type: "text/html", silence: "300 ms", rubbish: "7 bytes" };
      expect(reports[0]?.error).toContain("SERVFAIL: 127.0.0.1:1: ");
      expect(reports[0]?.error).toContain(words[fault]);
    },
  );

  it("stands for every name server where that is asked for", async () => {
    const network = makeNetwork({ doh: doh.url, interceptAll: true });
    const server = ipEndpoint("192.0.2.53", 53);
    const reply = await ask(network, "real.test", { server });
    expect(reply).toMatchObject({ data: ["192.0.2.1"], source: server });
  });

  it("is given up when the network is closed", async () => {
    doh.fault = "silence";
    const network = makeNetwork({ doh: doh.url });
    const user = new DatagramUser(opened(network.openDatagram(4)));
    user.trySend(makeQuery("real.test", "A"), network.dnsServers()[0]!);
    await expect.poll(() => doh.requests.length).toBe(1);
    await network.close();
    expect(reports.length).toBeLessThanOrEqual(1);
  });

  it("takes URLs only", () => {
    expect(() => makeNetwork({ doh: "1.1.1.1" })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});

describe("DNS over TCP through the network", () => {
  const server = (): IpEndpoint => {
    const [host = "", port = ""] = resolver.server.split(":");
    return ipEndpoint(host, Number(port));
  };

  it("answers what the guest asks by UDP", async () => {
    const network = makeNetwork({ tcp: server() });
    expect(await ask(network, "real.test")).toMatchObject({ data: ["192.0.2.1"] });
    expect(resolver.asked("real.test", "tcp")).toHaveLength(1);
    expect(reports).toMatchObject([{ via: "tcp", error: undefined }]);
  });

  it("is a server failure where the server is not there", async () => {
    const network = makeNetwork({ tcp: ipEndpoint("127.0.0.1", 1) });
    expect(await ask(network, "real.test")).toMatchObject({ code: "SERVFAIL" });
    expect(reports[0]?.error).toContain("ECONNREFUSED");
  });

  it("takes addresses only", () => {
    expect(() => makeNetwork({ tcp: "resolver.test" })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});
