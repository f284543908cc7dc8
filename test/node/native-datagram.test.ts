/** What the UDP sockets of the addon promise beyond the contract: what the kernel tells, and Node does not. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { Errno, Readiness } from "../../src/host-network.js";
import { createNodeHostNetwork, type NodeHostNetwork } from "../../src/node/node-host-network.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { DatagramUser, opened, sleep } from "../host-network-contract/stack-side.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

describe("a UDP socket of the addon", () => {
  const peers = new PeerKit();
  let network: NodeHostNetwork;

  beforeEach((context) => {
    const missing = whyNoNativeSockets();
    if (missing !== undefined) context.skip(missing);
    network = createNodeHostNetwork({ sockets: "native" });
  });

  afterEach(async () => {
    await (network as NodeHostNetwork | undefined)?.close();
    await peers.close();
  });

  /** A port of loopback where nobody is. */
  const closedPort = async (address = "127.0.0.1"): Promise<IpEndpoint> => {
    const user = new DatagramUser(await network.bindDatagram(ipEndpoint(address, 0)));
    user.close();
    return user.socket.localEndpoint as IpEndpoint;
  };
  const x = Buffer.from("x");

  it.each([4, 6] as const)("tells once that nobody is at the port, over IPv%i", async (family) => {
    const remote = await closedPort(family === 4 ? "127.0.0.1" : "::1");
    const user = new DatagramUser(opened(network.openDatagram(family)));
    expect(user.trySend(x, remote)).toBe(1);
    await user.edge(Readiness.error);
    expect(user.socket.nextLength()).toBe(-Errno.ECONNREFUSED);
    expect(user.socket.nextLength()).toBe(-Errno.EAGAIN);
    expect(user.takeError()).toBe(0);
    expect(user.trySend(x, remote)).toBe(1);
  });

  it("does not blame one destination for another", async () => {
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const { socket, endpoint } = await peers.udpSocket();
    socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
    expect(user.trySend(x, await closedPort())).toBe(1);
    expect(user.trySend(Buffer.from("hello"), endpoint)).toBe(5);
    expect((await user.receive()).toString()).toBe("hello");
    expect(user.socket.nextLength()).toBe(-Errno.EAGAIN);
    expect(user.edges.some((events) => (events & Readiness.error) !== 0)).toBe(false);
  });

  it("tells an error of sending by the call itself, and reads on", async () => {
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const { socket } = await peers.udpSocket();
    socket.send("waits", (user.socket.localEndpoint as IpEndpoint).port, "127.0.0.1");
    await user.edge(Readiness.readable);
    // The system refuses broadcasts of a socket that was not opened for them.
    expect(user.trySend(x, ipEndpoint("255.255.255.255", 9))).toBe(-Errno.EACCES);
    expect(user.socket.nextLength()).toBe(5);
    expect(user.trySend(Buffer.alloc(65_508), ipEndpoint("127.0.0.1", 9))).toBe(-Errno.EMSGSIZE);
    expect((await user.receive()).toString()).toBe("waits");
  });

  it("keeps apart what two sockets have asked for and not fetched", async () => {
    const users = [1, 2].map(() => new DatagramUser(opened(network.openDatagram(4))));
    const { socket } = await peers.udpSocket();
    for (const [i, user] of users.entries()) {
      const { port } = user.socket.localEndpoint as IpEndpoint;
      socket.send("-".repeat(i + 1), port, "127.0.0.1");
      socket.send(`next ${String(i)}`, port, "127.0.0.1");
    }
    await sleep(50);
    for (let again = 0; again < 2; again += 1) {
      expect(users.map((user) => user.socket.nextLength())).toEqual([1, 2]);
    }
    expect((await users[1]!.receive()).toString()).toBe("--");
    expect((await users[0]!.receive()).toString()).toBe("-");
    expect((await users[0]!.receive()).toString()).toBe("next 0");
    expect((await users[1]!.receive()).toString()).toBe("next 1");
  });

  it("forgets what a closed socket had asked for", async () => {
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const other = new DatagramUser(opened(network.openDatagram(4)));
    const { socket } = await peers.udpSocket();
    socket.send("first", (user.socket.localEndpoint as IpEndpoint).port, "127.0.0.1");
    expect(await user.nextLength()).toBe(5);
    user.close();
    socket.send("second", (other.socket.localEndpoint as IpEndpoint).port, "127.0.0.1");
    expect((await other.receive()).toString()).toBe("second");
  });

  it("counts what came while the kernel's buffer was full", async () => {
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const { socket } = await peers.udpSocket();
    const { port } = user.socket.localEndpoint as IpEndpoint;
    const sent = 2000;
    for (let i = 0; i < sent; i += 1) {
      socket.send(Buffer.alloc(4000), port, "127.0.0.1");
      if (i % 20 === 0) await sleep(1);
    }
    await sleep(50);
    let received = 0;
    while (user.tryReceive(Buffer.alloc(4000)) > 0) received += 1;
    expect(received).toBeLessThan(sent);
    expect(user.socket.droppedDatagrams).toBe(sent - received);
  });

  it("refuses at once what can never be", () => {
    const foreign = ipEndpoint("203.0.113.9", 0);
    expect(network.openDatagram(4, { local: foreign })).toBe(-Errno.EADDRNOTAVAIL);
    expect(network.openDatagram(6, { local: foreign })).toBe(-Errno.EINVAL);
    const socket = opened(network.openDatagram(4));
    expect(socket.sendTo(x, ipEndpoint("::1", 9))).toBe(-Errno.EAFNOSUPPORT);
    expect(socket.sendTo(x, ipEndpoint("127.0.0.1", 0))).toBe(-Errno.EINVAL);
    expect(socket.sendTo(x, ipEndpoint("127.0.0.1", 70_000))).toBe(-Errno.EINVAL);
  });
});
