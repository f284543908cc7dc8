/** What Node's UDP sockets promise beyond the contract. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { Errno, Readiness } from "../../src/host-network.js";
import type { NodeDatagram } from "../../src/node/node-datagram.js";
import { createNodeHostNetwork, type NodeHostNetwork } from "../../src/node/node-host-network.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { DatagramUser, opened, sleep } from "../host-network-contract/stack-side.js";

describe("a UDP socket of Node's host network", () => {
  const peers = new PeerKit();
  let network: NodeHostNetwork;

  beforeEach(() => {
    network = createNodeHostNetwork();
  });

  afterEach(async () => {
    await network.close();
    await peers.close();
  });

  it("is bound at once, to the address that was asked for", () => {
    const any = opened(network.openDatagram(4)).localEndpoint as IpEndpoint;
    expect(any.address).toBe("0.0.0.0");
    expect(any.port).toBeGreaterThan(0);
    const local = ipEndpoint("127.0.0.3", 0);
    expect(opened(network.openDatagram(4, { local })).localEndpoint).toMatchObject({
      address: "127.0.0.3",
    });
  });

  it("refuses at once what can never be", () => {
    const foreign = ipEndpoint("203.0.113.9", 0);
    expect(network.openDatagram(4, { local: foreign })).toBe(-Errno.EADDRNOTAVAIL);
    expect(network.openDatagram(6, { local: foreign })).toBe(-Errno.EINVAL);
    const socket = opened(network.openDatagram(4));
    const bytes = Buffer.from("x");
    expect(socket.sendTo(bytes, ipEndpoint("::1", 9))).toBe(-Errno.EAFNOSUPPORT);
    expect(socket.sendTo(bytes, ipEndpoint("127.0.0.1", 0))).toBe(-Errno.EINVAL);
  });

  it("tells an error of sending, once, before the next datagram", async () => {
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const { socket } = await peers.udpSocket();
    socket.send("waits", (user.socket.localEndpoint as IpEndpoint).port, "127.0.0.1");
    await user.edge(Readiness.readable);
    // The system refuses broadcasts of a socket that was not opened for them: nothing is sent.
    expect(user.trySend(Buffer.from("x"), ipEndpoint("255.255.255.255", 9))).toBe(1);
    while ((user.edges.at(-1)! & Readiness.error) === 0) await sleep(5);
    expect(user.socket.nextLength()).toBe(-Errno.EACCES);
    expect(user.socket.nextLength()).toBe(5);
    expect(user.takeError()).toBe(0);
  });

  it("counts what came while its queue was full", async () => {
    const user = new DatagramUser(opened(network.openDatagram(4)));
    const { socket } = await peers.udpSocket();
    const { port } = user.socket.localEndpoint as IpEndpoint;
    for (let i = 0; i < 400; i += 1) {
      socket.send("x", port, "127.0.0.1");
      if (i % 20 === 0) await sleep(1);
    }
    const datagram = user.socket as NodeDatagram;
    await expect.poll(() => datagram.droppedDatagrams).toBe(400 - 256);
  });

  it("has no ICMP counterpart", () => {
    expect(network.openEcho(4)).toBe(-Errno.ENOTSUP);
  });
});
