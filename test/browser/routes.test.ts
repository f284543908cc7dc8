/** Routing tables: what rules mean, and that sockets go where they lead. The networks are Node's, watched. */
import { afterEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { matches, parseRoute } from "../../src/browser/route-rule.js";
import { createRoutedHostNetwork, type RouteRule } from "../../src/browser/routed-host-network.js";
import { ErrorCode } from "../../src/errors.js";
import { Errno, type HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { DatagramUser, opened, StreamUser } from "../host-network-contract/stack-side.js";
import { WatchedNetwork } from "../support/watched-network.js";

const peers = new PeerKit();
const networks: HostNetwork[] = [];

afterEach(async () => {
  for (const network of networks.splice(0)) await network.close();
  await peers.close();
});

function watched(dnsServers: string[] = []): WatchedNetwork {
  return new WatchedNetwork({
    inner: createNodeHostNetwork({ dnsServers }),
    dnsServers: () => dnsServers.map(endpointOf),
  });
}

function endpointOf(text: string): IpEndpoint {
  const at = text.lastIndexOf(":");
  return ipEndpoint(text.slice(0, at), Number(text.slice(at + 1)));
}

function route(
  rules: readonly RouteRule[],
  otherwise: HostNetwork | "refuse",
  dns?: HostNetwork,
): HostNetwork {
  const network = createRoutedHostNetwork({ rules, default: otherwise, ...(dns && { dns }) });
  networks.push(network);
  return network;
}

async function echoPeer(): Promise<IpEndpoint> {
  const { socket, endpoint } = await peers.udpSocket();
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  return endpoint;
}

describe("a rule", () => {
  it.each<[string, "tcp" | "udp", string, boolean]>([
    ["tcp", "tcp", "192.0.2.1:80", true],
    ["tcp", "udp", "192.0.2.1:80", false],
    ["udp", "udp", "2001:db8::1:80", true],
    ["80", "tcp", "192.0.2.1:80", true],
    [":80", "udp", "192.0.2.1:80", true],
    ["80", "tcp", "192.0.2.1:81", false],
    ["tcp:443,8000-8999", "tcp", "192.0.2.1:8500", true],
    ["tcp:443,8000-8999", "tcp", "192.0.2.1:9000", false],
    ["10.0.0.0/8", "tcp", "10.255.255.255:1", true],
    ["10.0.0.0/8", "tcp", "11.0.0.0:1", false],
    ["10.0.0.0/9", "tcp", "10.128.0.0:1", false],
    ["10.0.0.0/8:53", "udp", "10.1.1.1:53", true],
    ["10.0.0.0/8:53", "udp", "10.1.1.1:54", false],
    ["0.0.0.0/0", "udp", "10.1.1.1:54", true],
    ["0.0.0.0/0", "udp", "2001:db8::1:54", false],
    ["fd00::/8", "tcp", "fd12::1:54", true],
    ["[fd00::/8]:54", "tcp", "fd12::1:54", true],
    ["[fd00::/8]", "tcp", "fe00::1:54", false],
    ["udp:[::1]:53", "udp", "::1:53", true],
    ["udp:192.0.2.1", "udp", "192.0.2.1:9", true],
  ])("%s, %s to %s: %s", (rule, protocol, remote, expected) => {
    expect(matches(parseRoute(rule), protocol, endpointOf(remote))).toBe(expected);
  });

  it.each([
    "",
    ":",
    "tcp:",
    "icmp",
    "0",
    "65536",
    "90-80",
    "10.0.0.0/33",
    "10.0.0:80",
    "10.0.0.1:",
    "host.test",
    "[::1",
    "tcp:udp:1",
    "1.2.3.4:80:81",
  ])("that cannot be read is refused: %j", (rule) => {
    expect(() => parseRoute(rule)).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringContaining(`rule "${rule}"`) as string,
      }),
    );
  });
});

describe("a routing table", () => {
  it("takes connections where the first rule that matches leads", async () => {
    const server = await peers.tcpServer();
    const remote = server.endpoint as IpEndpoint;
    const first = watched();
    const second = watched();
    const network = route(
      [
        { to: "udp", network: "refuse" },
        { to: String(remote.port), network: first },
        { to: "127.0.0.0/8", network: second },
      ],
      "refuse",
    );
    const stream = new StreamUser(opened(network.connectStream(remote)));
    expect(await stream.connected()).toBe(0);
    expect(first.connects).toHaveLength(1);
    expect(second.connects).toHaveLength(0);
  });

  it("refuses where that is the rule, or nothing else is", async () => {
    const server = await peers.tcpServer();
    const inner = watched();
    const network = route([{ to: "127.0.0.0/8", network: "refuse" }], inner);
    expect(network.connectStream(server.endpoint)).toBe(-Errno.ECONNREFUSED);
    const datagram = opened(network.openDatagram(4));
    expect(datagram.sendTo(Buffer.from("x"), server.endpoint as IpEndpoint)).toBe(
      -Errno.ENETUNREACH,
    );
    expect(inner.connects).toHaveLength(0);
    datagram.close();
  });

  it("makes one UDP socket of those of several networks, opened when they are used", async () => {
    const [here, there] = [await echoPeer(), await echoPeer()];
    const first = watched();
    const second = watched();
    const network = route([{ to: `udp:${String(here.port)}`, network: first }], second);
    const user = new DatagramUser(opened(network.openDatagram(4)));
    expect(user.socket.nextLength()).toBe(-Errno.EAGAIN);
    user.trySend(Buffer.from("here"), here);
    expect((await user.receive()).toString()).toBe("here");
    expect(user.source.endpoint).toEqual(here);
    expect(second.datagramsSent).toHaveLength(0);
    user.trySend(Buffer.from("there"), there);
    expect((await user.receive()).toString()).toBe("there");
    expect(user.source.endpoint).toEqual(there);
    expect(first.datagramsSent).toHaveLength(1);
    user.close();
    expect(user.socket.sendTo(Buffer.from("x"), here)).toBe(-Errno.EBADF);
  });

  it("keeps datagrams of several networks whole, whoever comes first", async () => {
    const [here, there] = [await echoPeer(), await echoPeer()];
    const network = route([{ to: `udp:${String(here.port)}`, network: watched() }], watched());
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const sent: string[] = [];
    for (let i = 0; i < 100; i++) {
      const text = `${"x".repeat(i)}${String(i)}`;
      sent.push(text);
      user.trySend(Buffer.from(text), i % 2 === 0 ? here : there);
    }
    const received = new Set<string>();
    while (received.size < sent.length) {
      const text = (await user.receive()).toString();
      const i = sent.indexOf(text);
      expect(user.source.endpoint).toEqual(i % 2 === 0 ? here : there);
      received.add(text);
    }
  });

  it("asks the name servers of the network that was named for it, whatever the rules say", async () => {
    const server = await echoPeer();
    const names = watched([`127.0.0.1:${String(server.port)}`]);
    const network = route([{ to: "udp", network: "refuse" }], watched(), names);
    expect(network.dnsServers()).toEqual([server]);
    const user = new DatagramUser(opened(network.openDatagram(4)));
    user.trySend(Buffer.from("question"), server);
    expect((await user.receive()).toString()).toBe("question");
  });

  it("closes every network that it leads to", async () => {
    const first = watched();
    const second = watched();
    const names = watched();
    const network = createRoutedHostNetwork({
      rules: [{ to: "udp", network: first }],
      default: second,
      dns: names,
    });
    await network.close();
    const remote = ipEndpoint("127.0.0.1", 9);
    for (const each of [network, first, second, names])
      expect(each.openDatagram(4)).toBeLessThan(0);
    expect(network.connectStream(remote)).toBeLessThan(0);
  });

  it("needs a network at all", () => {
    const make = (): HostNetwork =>
      createRoutedHostNetwork({ rules: [{ to: "udp", network: "refuse" }], default: "refuse" });
    expect(make).toThrow(expect.objectContaining({ code: ErrorCode.invalidConfiguration }));
  });
});
