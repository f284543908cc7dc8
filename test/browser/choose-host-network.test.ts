/** What options make: which host network, with whose names, and which of them contradict each other. */
import { decode, encode } from "dns-packet";
import { afterEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import {
  chooseHostNetwork,
  type PageNetworkOptions,
} from "../../src/browser/choose-host-network.js";
import type { DnsQueryReport } from "../../src/browser/name-service.js";
import { ErrorCode } from "../../src/errors.js";
import { Errno, type HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { listenRelay } from "../../src/relay/listen-relay.js";
import { PeerKit, readBytes } from "../host-network-contract/peer-kit.js";
import { DatagramUser, opened, StreamUser } from "../host-network-contract/stack-side.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { nodeWebSocket as webSocket } from "./make-wisp-host-network.js";

const peers = new PeerKit();
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await peers.close();
});

async function choose(options: PageNetworkOptions): Promise<HostNetwork> {
  const network = await chooseHostNetwork(options);
  closing.push(() => network.close());
  return network;
}

async function relayUrl(): Promise<string> {
  const relay = await listenRelay({ allow: ["127.0.0.0/8"] });
  closing.push(() => relay.close(0));
  return relay.url;
}

/** Connects, and says something. */
async function reaches(network: HostNetwork, remote?: IpEndpoint): Promise<void> {
  const server = await peers.tcpServer();
  const stream = new StreamUser(opened(network.connectStream(remote ?? server.endpoint)));
  expect(await stream.connected()).toBe(0);
  stream.trySend(Buffer.from("hello"));
  expect((await readBytes(await server.connection(), 5)).toString()).toBe("hello");
  stream.close();
}

async function lookUp(
  network: HostNetwork,
  name: string,
  server = network.dnsServers()[0]!,
): Promise<unknown[]> {
  const user = new DatagramUser(opened(network.openDatagram(4)));
  user.trySend(encode({ type: "query", id: 1, questions: [{ name, type: "A" }] }), server);
  const { answers = [] } = decode(await user.receive());
  user.close();
  return answers.map((answer) => ("data" in answer ? answer.data : undefined));
}

describe("a relay", () => {
  it("is Wisp by its URL", async () => {
    const network = await choose({ relay: await relayUrl(), wisp: { webSocket } });
    expect(network.name).toBe("wisp");
    await reaches(network);
  });

  it("is wsproxy by its URL's scheme", async () => {
    const network = await choose({ relay: `wsproxy+${await relayUrl()}`, wsproxy: { webSocket } });
    expect(network.name).toBe("wsproxy");
    await reaches(network);
  });

  it("is websockify by its URL's scheme, the target being the relay's", async () => {
    const url = await relayUrl();
    const server = await peers.tcpServer();
    const { port } = server.endpoint as IpEndpoint;
    const relay = `websockify+${url}127.0.0.1:${String(port)}`;
    const network = await choose({ relay, wsproxy: { webSocket } });
    const stream = new StreamUser(opened(network.connectStream(ipEndpoint("192.0.2.1", 1))));
    expect(await stream.connected()).toBe(0);
    await server.connection();
  });

  it("without UDP has names by TCP, whichever server the guest asks", async () => {
    const resolver = await DnsResolver.start("127.0.0.1", { "real.test": { a: "192.0.2.1" } });
    closing.push(() => resolver[Symbol.asyncDispose]());
    const at = resolver.server.lastIndexOf(":");
    const tcp = ipEndpoint("127.0.0.1", Number(resolver.server.slice(at + 1)));
    const relay = `wsproxy+${await relayUrl()}`;
    const network = await choose({
      relay,
      wsproxy: { webSocket },
      dns: { tcp, interceptAll: true },
    });
    expect(await lookUp(network, "real.test")).toEqual(["192.0.2.1"]);
    expect(await lookUp(network, "real.test", ipEndpoint("192.0.2.53", 53))).toEqual(["192.0.2.1"]);
    const plain = await choose({ relay, wsproxy: { webSocket } });
    expect(plain.dnsServers()).toMatchObject([{ port: 53 }]);
  });
});

describe("names and time", () => {
  it("stand before any network", async () => {
    const reports: DnsQueryReport[] = [];
    const network = await choose({
      relay: await relayUrl(),
      wisp: { webSocket },
      dns: { static: { "host.test": "192.0.2.7" }, onQuery: (report) => reports.push(report) },
      ntp: true,
    });
    expect(await lookUp(network, "host.test")).toEqual(["192.0.2.7"]);
    expect(reports).toMatchObject([{ name: "host.test", via: "page" }]);
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const query = Buffer.concat([Buffer.from([0x23]), Buffer.alloc(47)]);
    user.trySend(query, ipEndpoint("192.0.2.123", 123));
    expect(await user.receive()).toHaveLength(48);
  });

  it("leave a network that was given to its owner where they cannot be", async () => {
    const hostNetwork = createNodeHostNetwork();
    closing.push(() => hostNetwork.close());
    const dns = { static: { "host.test": "nowhere" } };
    await expect(chooseHostNetwork({ hostNetwork, dns })).rejects.toThrow("host.test");
    opened(hostNetwork.openDatagram(4)).close();
  });
});

describe("no relay", () => {
  it("is HTTP by fetch, every name having an address", async () => {
    const network = await choose({ http: true });
    expect(await lookUp(network, "any.test")).toEqual([expect.stringMatching(/^198\.1[89]\./)]);
    expect(network.connectStream(ipEndpoint("192.0.2.1", 443))).toBe(-Errno.ECONNREFUSED);
  });

  it("takes names as others do", async () => {
    const network = await choose({ http: {}, dns: { static: { "own.test": "192.0.2.5" } } });
    expect(await lookUp(network, "own.test")).toEqual(["192.0.2.5"]);
  });
});

const relay = "ws://relay.test/";

it.each<[string, PageNetworkOptions]>([
  ["nothing says how to reach the world", {}],
  ["nothing says how to reach the world", { http: false }],
  ["relays: at least one", { relay: [] }],
  ["relay and http", { relay, http: true }],
  ["relay and hostNetwork", { relay, hostNetwork: createNodeHostNetwork() }],
  ["http and hostNetwork", { http: {}, hostNetwork: createNodeHostNetwork() }],
  ["wsproxy: there is no relay of that kind", { relay, wsproxy: {} }],
  ["wisp: there is no relay of that kind", { relay: `wsproxy+${relay}`, wisp: {} }],
  ["wisp: there is no relay of that kind", { http: true, wisp: {} }],
  ["there can be one", { relay: [`wsproxy+${relay}`, relay] }],
  ["dns and http.dns", { http: { dns: {} }, dns: {} }],
  ["dns.tcp", { http: true, dns: { tcp: "192.0.2.1" } }],
  ["ntp", { http: true, ntp: false }],
  ['relay "nowhere"', { relay: "nowhere", wisp: { webSocket } }],
  ['relay "nowhere"', { relay: "wsproxy+nowhere", wsproxy: { webSocket } }],
])("what contradicts itself is refused by name: %s", async (message, options) => {
  await expect(chooseHostNetwork(options)).rejects.toMatchObject({
    code: ErrorCode.invalidConfiguration,
    message: expect.stringContaining(message) as string,
  });
});
