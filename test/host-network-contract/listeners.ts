/** The contract of listeners. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { formatEndpoint, ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { Errno, Readiness } from "../../src/host-network.js";
import { needs } from "./fixture.js";
import { howItEnds, readBytes } from "./peer-kit.js";
import { sleep, type ListenerUser } from "./stack-side.js";
import type { SuiteContext } from "./suite-context.js";
import { sha256, testBytes } from "./test-data.js";

const LOOPBACK = ipEndpoint("127.0.0.1", 0);

export function describeListeners(suite: SuiteContext): void {
  describeAccepting(suite);
  describeBinding(suite);
  describeUnixListener(suite);
}

function portOf(listener: ListenerUser): number {
  return (listener.socket.localEndpoint as IpEndpoint).port;
}

function describeAccepting(suite: SuiteContext): void {
  describe("a listener", () => {
    it("reports the port that it was given, and gives connections", async (context) => {
      needs(context, suite.fixture, "listen");
      const listener = await suite.listen(LOOPBACK);
      expect(portOf(listener)).toBeGreaterThan(0);
      const peer = await suite.peers.connect(listener.socket.localEndpoint);
      const user = await listener.accept();
      expect(formatEndpoint(user.socket.localEndpoint!)).toBe(
        `127.0.0.1:${String(portOf(listener))}`,
      );
      expect(formatEndpoint(user.socket.remoteEndpoint!)).toBe(
        `127.0.0.1:${String(peer.localPort)}`,
      );
      await user.edge(Readiness.writable);
      peer.pipe(peer);
      const data = testBytes(1_000_000);
      const [echoed] = await Promise.all([user.receiveBytes(data.length), user.sendBytes(data)]);
      expect(sha256(echoed)).toBe(sha256(data));
    });

    it("owes the edge readable for a connection, again after there was none", async (context) => {
      needs(context, suite.fixture, "listen");
      const listener = await suite.listen(LOOPBACK);
      expect(listener.tryAccept()).toBeUndefined();
      for (let i = 0; i < 3; i += 1) {
        await suite.peers.connect(listener.socket.localEndpoint);
        await listener.edge(Readiness.readable);
        expect(listener.tryAccept()).toBeDefined();
        expect(listener.tryAccept()).toBeUndefined();
      }
    });

    it("gives what was sent before the stack accepted, FIN included", async (context) => {
      needs(context, suite.fixture, "listen");
      const listener = await suite.listen(LOOPBACK);
      const peer = await suite.peers.connect(listener.socket.localEndpoint);
      peer.end("hello at once");
      await sleep(50);
      const user = await listener.accept();
      expect((await user.receiveBytes()).toString()).toBe("hello at once");
    });

    it("gives several connections in any number of turns", async (context) => {
      needs(context, suite.fixture, "listen");
      const listener = await suite.listen(LOOPBACK);
      const { localEndpoint } = listener.socket;
      const peers = Array.from({ length: 20 }, () => suite.peers.connecting(localEndpoint));
      for (const peer of peers) peer.write(String(peers.indexOf(peer)).padStart(2, "0"));
      const names = new Set<string>();
      while (names.size < peers.length) {
        const user = await listener.accept();
        names.add((await user.receiveBytes(2)).toString());
      }
      expect(names.size).toBe(20);
    });

    it("bounds what an accepted connection holds, and loses nothing of it", async (context) => {
      needs(context, suite.fixture, "listen");
      const listener = await suite.listen(LOOPBACK);
      const peer = await suite.peers.connect(listener.socket.localEndpoint);
      const user = await listener.accept();
      const data = testBytes(20 * 1024 * 1024);
      peer.end(data);
      await sleep(300);
      expect(peer.writableLength).toBeGreaterThan(0);
      expect(sha256(await user.receiveBytes())).toBe(sha256(data));
    });

    it("that is closed refuses new connections and leaves the accepted ones alone", async (context) => {
      needs(context, suite.fixture, "listen", "refused");
      const listener = await suite.listen(LOOPBACK);
      const { localEndpoint } = listener.socket;
      const peer = await suite.peers.connect(localEndpoint);
      const user = await listener.accept();
      const waiting = await suite.peers.connect(localEndpoint);
      await listener.edge(Readiness.readable);
      listener.close();
      listener.close();
      expect(await howItEnds(waiting)).not.toBe("timeout");
      const late = suite.peers.connecting(localEndpoint);
      const [error] = (await once(late, "error")) as [NodeJS.ErrnoException];
      expect(error.code).toBe("ECONNREFUSED");
      await user.sendBytes(Buffer.from("still here"));
      expect((await readBytes(peer, 10)).toString()).toBe("still here");
    });
  });
}

function describeBinding(suite: SuiteContext): void {
  describe("listening", () => {
    it("at an address in use rejects with EADDRINUSE and names it", async (context) => {
      needs(context, suite.fixture, "listen");
      const listener = await suite.listen(LOOPBACK);
      const { localEndpoint } = listener.socket;
      const second = suite.network.listenStream(localEndpoint);
      await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
      await expect(second).rejects.toThrow(formatEndpoint(localEndpoint));
    });

    it("at an address that is not ours rejects with EADDRNOTAVAIL", async (context) => {
      needs(context, suite.fixture, "listen");
      const foreign = suite.network.listenStream(ipEndpoint("203.0.113.9", 0));
      await expect(foreign).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    });

    it("at the IPv6 wildcard takes IPv4 too, unless told not to", async (context) => {
      needs(context, suite.fixture, "listen", "ipv6", "refused");
      const both = await suite.listen(ipEndpoint("::", 0));
      await suite.peers.connect(ipEndpoint("127.0.0.1", portOf(both)));
      const user = await both.accept();
      expect(user.socket.remoteEndpoint?.family).toBe(6);
      const only6 = await suite.listen(ipEndpoint("::", 0), { ipv6Only: true });
      const peer = suite.peers.connecting(ipEndpoint("127.0.0.1", portOf(only6)));
      const [error] = (await once(peer, "error")) as [NodeJS.ErrnoException];
      expect(error.code).toBe("ECONNREFUSED");
      await suite.peers.connect(ipEndpoint("::1", portOf(only6)));
      expect((await only6.accept()).socket.remoteEndpoint).toMatchObject({ address: "::1" });
    });
  });
}

function describeUnixListener(suite: SuiteContext): void {
  describe("a unix listener", () => {
    it("takes connections and removes its path when it is closed", async (context) => {
      needs(context, suite.fixture, "listen", "unixStreams");
      const path = suite.peers.unixPath();
      const listener = await suite.listen({ family: "unix", path });
      expect(listener.socket.localEndpoint).toEqual({ family: "unix", path });
      const peer = await suite.peers.connect({ family: "unix", path });
      const user = await listener.accept();
      await user.sendBytes(Buffer.from("over unix"));
      expect((await readBytes(peer, 9)).toString()).toBe("over unix");
      listener.close();
      await expect.poll(() => existsSync(path)).toBe(false);
    });

    it("rejects with EADDRINUSE where the path is taken", async (context) => {
      needs(context, suite.fixture, "listen", "unixStreams");
      const { endpoint } = await suite.peers.unixServer();
      const second = suite.network.listenStream(endpoint);
      await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
    });

    it("at a path nobody is at is an error of the stream that connects", async (context) => {
      needs(context, suite.fixture, "unixStreams");
      const user = suite.connect({ family: "unix", path: suite.peers.unixPath() });
      expect(await user.connected()).toBe(Errno.ENOENT);
    });
  });
}
