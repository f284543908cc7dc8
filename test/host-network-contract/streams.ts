/** The contract of streams: connecting, moving bytes, readiness. */
import { describe, expect, it } from "vitest";
import { formatEndpoint } from "../../src/address.js";
import { Errno, Readiness } from "../../src/host-network.js";
import type { SuiteContext } from "./suite-context.js";
import { needs } from "./fixture.js";
import { readBytes, type PeerServer } from "./peer-kit.js";
import { nextTurn, sleep } from "./stack-side.js";
import { sha256, testBytes } from "./test-data.js";

/** More than any round of buffers on the way holds. */
const MANY_BYTES = 3 * 1024 * 1024;

export function describeStreams(suite: SuiteContext): void {
  describe("a stream that connects", () => {
    it("becomes writable and knows the other end", async () => {
      const { user, server } = await suite.connectedStream();
      expect(user.socket.remoteEndpoint).toEqual(server.endpoint);
      expect(user.takeError()).toBe(0);
    });

    it("knows its own end", async (context) => {
      needs(context, suite.fixture, "localEndpoint");
      const { user, peer } = await suite.connectedStream();
      const local = user.socket.localEndpoint;
      expect(local && formatEndpoint(local)).toBe(`127.0.0.1:${String(peer.remotePort)}`);
    });

    it("knows no other end and takes nothing before it is connected", async () => {
      const server = await suite.peers.tcpServer();
      const user = suite.connect(server.endpoint);
      expect(user.socket.remoteEndpoint).toBeUndefined();
      expect(user.trySend(Buffer.from("early"))).toBe(-Errno.ENOTCONN);
      expect(await user.connected()).toBe(0);
      expect(user.trySend(Buffer.from("late"))).toBe(4);
      expect((await readBytes(await server.connection(), 4)).toString()).toBe("late");
    });

    it("is told that it was refused, at every call", async (context) => {
      needs(context, suite.fixture, "refused");
      const user = suite.connect(await suite.peers.closedTcpEndpoint());
      expect(await user.connected()).toBe(Errno.ECONNREFUSED);
      expect(user.edges.at(-1)! & Readiness.error).toBe(Readiness.error);
      expect(user.takeError()).toBe(0);
      expect(user.trySend(Buffer.alloc(0))).toBe(-Errno.ECONNREFUSED);
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.ECONNREFUSED);
      expect(user.socket.remoteEndpoint).toBeUndefined();
      user.close();
    });

    it("connects from the address that was asked for", async (context) => {
      needs(context, suite.fixture, "localAddress");
      const server = await suite.peers.tcpServer();
      const user = suite.connect(server.endpoint, "127.0.0.2");
      expect(await user.connected()).toBe(0);
      expect((await server.connection()).remoteAddress).toBe("127.0.0.2");
    });

    it("can be closed or reset while it connects", async () => {
      const server = await suite.peers.tcpServer();
      suite.connect(server.endpoint).close();
      suite.connect(server.endpoint).reset();
      await sleep(20);
    });
  });

  describe("bytes", () => {
    const carries = async (server: PeerServer): Promise<void> => {
      const user = suite.connect(server.endpoint);
      expect(await user.connected()).toBe(0);
      const peer = await server.connection();
      peer.pipe(peer);
      const data = testBytes(MANY_BYTES);
      const [echoed] = await Promise.all([user.receiveBytes(data.length), user.sendBytes(data)]);
      expect(sha256(echoed)).toBe(sha256(data));
    };

    it("go and come unchanged over IPv4", async () => {
      await carries(await suite.peers.tcpServer());
    });

    it("go and come unchanged over IPv6", async (context) => {
      needs(context, suite.fixture, "ipv6");
      await carries(await suite.peers.tcpServer("::1"));
    });

    it("go and come unchanged over a unix socket", async (context) => {
      needs(context, suite.fixture, "unixStreams");
      await carries(await suite.peers.unixServer());
    });

    it("of two pieces arrive one behind the other, and are not looked at after the call", async () => {
      const { user, peer } = await suite.connectedStream();
      const first = Buffer.from("first half, ");
      const second = Buffer.from("second half");
      expect(user.trySend(first, second)).toBe(first.length + second.length);
      first.fill("x");
      second.fill("x");
      expect((await readBytes(peer, 23)).toString()).toBe("first half, second half");
    });

    it("fill small targets in order, and a short count owes the next edge", async () => {
      const { user, peer } = await suite.connectedStream();
      peer.write("abcdefg");
      await user.edge(Readiness.readable);
      const target = Buffer.alloc(3);
      expect(user.tryReceive(target)).toBe(3);
      expect(target.toString()).toBe("abc");
      expect(user.tryReceive(target)).toBe(3);
      expect(target.toString()).toBe("def");
      expect(user.tryReceive(target)).toBe(1);
      expect(target.toString("latin1", 0, 1)).toBe("g");
      peer.write("h");
      await user.edge(Readiness.readable);
      expect(user.tryReceive(target)).toBe(1);
    });

    it("need none to ask whether sending is possible", async () => {
      const { user } = await suite.connectedStream();
      expect(user.trySend(new Uint8Array(0))).toBe(0);
      expect(user.tryReceive(new Uint8Array(0))).toBe(0);
    });
  });

  describe("the edge readable", () => {
    it("is owed once after EAGAIN, when data comes", async () => {
      const { user, peer } = await suite.connectedStream();
      const target = Buffer.alloc(100);
      for (const text of ["one", "two", "three"]) {
        expect(user.tryReceive(target)).toBe(-Errno.EAGAIN);
        await nextTurn();
        peer.write(text);
        await user.edge(Readiness.readable);
        expect(user.tryReceive(target)).toBe(text.length);
      }
    });

    it("does not come for each piece while the stack reads nothing", async () => {
      const { user, peer } = await suite.connectedStream();
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.EAGAIN);
      for (let i = 0; i < 10; i += 1) {
        peer.write("piece");
        await sleep(5);
      }
      const told = user.edges.filter((events) => (events & Readiness.readable) !== 0);
      expect(told).toHaveLength(1);
    });

    it("is told for what was there before onReady was set", async () => {
      const { user, peer, server } = await suite.connectedStream();
      user.close();
      const late = suite.open(server.endpoint);
      const latePeer = await server.connection();
      latePeer.write("early data");
      await sleep(50);
      const edge = new Promise<number>((resolve) => {
        let events = 0;
        late.onReady = (more) => {
          events |= more;
          if ((events & Readiness.readable) !== 0) resolve(events);
        };
      });
      await edge;
      expect(late.receive(Buffer.alloc(100))).toBe(10);
      late.close();
      peer.destroy();
    });
  });
}
