/** The contract of UDP sockets. */
import type { Socket } from "node:dgram";
import { describe, expect, it } from "vitest";
import { formatEndpoint, ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { Errno, MAX_BUFFERED_BYTES, Readiness } from "../../src/host-network.js";
import { needs } from "./fixture.js";
import { sleep, type DatagramUser } from "./stack-side.js";
import type { SuiteContext } from "./suite-context.js";
import { testBytes } from "./test-data.js";

/** A peer that sends back what it gets. */
async function echoPeer(suite: SuiteContext, address?: string): Promise<IpEndpoint> {
  const { socket, endpoint } = await suite.peers.udpSocket(address);
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  return endpoint;
}

/** A socket of ours and a peer, that know of each other. */
async function pair(
  suite: SuiteContext,
): Promise<{ user: DatagramUser; peer: Socket; send: (bytes: Uint8Array) => void }> {
  const user = await suite.bindDatagram(ipEndpoint("127.0.0.1", 0));
  const { port } = user.socket.localEndpoint as IpEndpoint;
  const { socket } = await suite.peers.udpSocket();
  return { user, peer: socket, send: (bytes) => socket.send(bytes, port, "127.0.0.1") };
}

export function describeDatagrams(suite: SuiteContext): void {
  describeExchange(suite);
  describeReceiving(suite);
  describeDatagramBinding(suite);
}

function describeExchange(suite: SuiteContext): void {
  describe("a UDP socket", () => {
    const echoes = async (remote: IpEndpoint): Promise<void> => {
      const user = suite.openDatagram(remote.family);
      const data = testBytes(1400);
      expect(user.trySend(data, remote)).toBe(1400);
      data.fill(0);
      expect(await user.receive()).toEqual(testBytes(1400));
      expect(user.source.endpoint).toEqual(remote);
    };

    it("can be used at once, and tells who sent, over IPv4", async (context) => {
      needs(context, suite.fixture, "datagrams");
      await echoes(await echoPeer(suite));
    });

    it("can be used at once, and tells who sent, over IPv6", async (context) => {
      needs(context, suite.fixture, "datagrams", "ipv6");
      await echoes(await echoPeer(suite, "::1"));
    });

    it("tells apart many who send", async (context) => {
      needs(context, suite.fixture, "datagrams");
      const remotes = await Promise.all(Array.from({ length: 5 }, () => echoPeer(suite)));
      const user = suite.openDatagram(4);
      const seen = new Map<string, string>();
      for (const remote of remotes) user.trySend(Buffer.from(formatEndpoint(remote)), remote);
      while (seen.size < remotes.length) {
        const text = (await user.receive()).toString();
        seen.set(text, formatEndpoint(user.source.endpoint!));
      }
      for (const [text, sender] of seen) expect(sender).toBe(text);
    });

    it("carries the largest datagram and refuses a larger one", async (context) => {
      needs(context, suite.fixture, "datagrams");
      const remote = await echoPeer(suite);
      const user = suite.openDatagram(4);
      expect(user.trySend(testBytes(65_508), remote)).toBe(-Errno.EMSGSIZE);
      expect(user.trySend(testBytes(65_507), remote)).toBe(65_507);
      expect(await user.receive()).toEqual(testBytes(65_507));
    });

    it("takes a burst, or says when to go on", async (context) => {
      needs(context, suite.fixture, "datagrams");
      const { endpoint } = await suite.peers.udpSocket();
      const user = suite.openDatagram(4);
      const data = testBytes(9000);
      for (let sent = 0; sent < 2000;) {
        const answer = user.trySend(data, endpoint);
        if (answer === -Errno.EAGAIN) await user.edge(Readiness.writable);
        else expect(answer).toBe(9000);
        if (answer === 9000) sent += 1;
      }
    });
  });
}

function describeReceiving(suite: SuiteContext): void {
  describe("receiving datagrams", () => {
    it("answers EAGAIN where there is none, and owes the edge", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const { user, send } = await pair(suite);
      for (const text of ["one", "two"]) {
        expect(user.tryReceive(Buffer.alloc(10))).toBe(-Errno.EAGAIN);
        expect(user.socket.nextLength()).toBe(-Errno.EAGAIN);
        send(Buffer.from(text));
        await user.edge(Readiness.readable);
        expect(user.socket.nextLength()).toBe(3);
        expect((await user.receive()).toString()).toBe(text);
      }
    });

    it("cuts off what does not fit and keeps datagrams apart", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const { user, send } = await pair(suite);
      send(Buffer.from("a long datagram"));
      send(Buffer.from("second"));
      expect(await user.nextLength()).toBe(15);
      const target = Buffer.alloc(6, "-");
      expect(user.tryReceive(target)).toBe(6);
      expect(target.toString()).toBe("a long");
      expect((await user.receive()).toString()).toBe("second");
    });

    it("gives empty datagrams", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const { user, send } = await pair(suite);
      send(Buffer.alloc(0));
      send(Buffer.from("next"));
      expect(await user.nextLength()).toBe(0);
      expect(user.tryReceive(Buffer.alloc(10))).toBe(0);
      expect((await user.receive()).toString()).toBe("next");
    });

    it("holds a bounded number, the oldest, for a stack that does not read", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const { user, send } = await pair(suite);
      for (let i = 0; i < 3000; i += 1) {
        const bytes = Buffer.alloc(2000);
        bytes.writeUInt32LE(i);
        send(bytes);
        if (i % 50 === 0) await sleep(1);
      }
      await sleep(50);
      const target = Buffer.alloc(2000);
      let bytes = 0;
      let last = -1;
      for (;;) {
        const count = user.tryReceive(target);
        if (count === -Errno.EAGAIN) break;
        if (last < 0) expect(target.readUInt32LE()).toBe(0);
        expect(target.readUInt32LE()).toBeGreaterThan(last);
        last = target.readUInt32LE();
        bytes += count;
      }
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
      send(Buffer.from("afterwards"));
      expect((await user.receive()).toString()).toBe("afterwards");
    });

    it("ends with close", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const { user, send } = await pair(suite);
      send(Buffer.from("waits"));
      await user.edge(Readiness.readable);
      user.close();
      user.close();
      send(Buffer.from("too late"));
      await sleep(30);
      const remote = ipEndpoint("127.0.0.1", 9);
      expect(user.socket.sendTo(Buffer.from("x"), remote)).toBeLessThan(0);
      expect(user.socket.receiveFrom(Buffer.alloc(10), user.source)).toBeLessThan(0);
    });
  });
}

function describeDatagramBinding(suite: SuiteContext): void {
  describe("binding a UDP socket", () => {
    it("reports the port that it was given", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const user = await suite.bindDatagram(ipEndpoint("127.0.0.1", 0));
      expect(user.socket.localEndpoint).toMatchObject({ address: "127.0.0.1" });
      expect((user.socket.localEndpoint as IpEndpoint).port).toBeGreaterThan(0);
    });

    it("at an address in use rejects with EADDRINUSE and names it", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const user = await suite.bindDatagram(ipEndpoint("127.0.0.1", 0));
      const endpoint = user.socket.localEndpoint as IpEndpoint;
      const second = suite.network.bindDatagram(endpoint);
      await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
      await expect(second).rejects.toThrow(formatEndpoint(endpoint));
    });

    it("to the IPv6 wildcard alone leaves the IPv4 port free", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen", "ipv6");
      const user = await suite.bindDatagram(ipEndpoint("::", 0), { ipv6Only: true });
      const { port } = user.socket.localEndpoint as IpEndpoint;
      const other = await suite.bindDatagram(ipEndpoint("0.0.0.0", port));
      expect(other.socket.localEndpoint).toMatchObject({ port });
    });

    it("gives a port back when it is closed", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const user = await suite.bindDatagram(ipEndpoint("127.0.0.1", 0));
      const endpoint = user.socket.localEndpoint as IpEndpoint;
      user.close();
      await sleep(10);
      const again = await suite.bindDatagram(endpoint);
      expect(again.socket.localEndpoint).toEqual(endpoint);
    });
  });
}
