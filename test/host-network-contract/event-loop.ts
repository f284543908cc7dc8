/** The contract of the network as a whole: clock, turns, timers, resolvers, closing. */
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { Errno, Readiness } from "../../src/host-network.js";
import { needs } from "./fixture.js";
import { answerName, nextTurn, sleep } from "./stack-side.js";
import type { SuiteContext } from "./suite-context.js";

export function describeEventLoop(suite: SuiteContext): void {
  describeClock(suite);
  describeTurns(suite);
  describeClosing(suite);
}

function describeClock(suite: SuiteContext): void {
  describe("the clock", () => {
    it("goes on by milliseconds with fractions, never back", async () => {
      const start = suite.network.nowMs();
      let last = start;
      let fractions = 0;
      for (let i = 0; i < 1000; i += 1) {
        const now = suite.network.nowMs();
        expect(now).toBeGreaterThanOrEqual(last);
        if (!Number.isInteger(now)) fractions += 1;
        last = now;
      }
      expect(fractions).toBeGreaterThan(0);
      await sleep(50);
      expect(suite.network.nowMs() - start).toBeGreaterThan(45);
    });

    it("tells the date", () => {
      expect(Math.abs(suite.network.dateMs() - Date.now())).toBeLessThan(1000);
    });

    it("sets timers that fire once, not early", async () => {
      const start = suite.network.nowMs();
      let fired = 0;
      await new Promise<void>((resolve) => {
        suite.network.setTimer(() => {
          fired += 1;
          resolve();
        }, 30.5);
      });
      expect(suite.network.nowMs() - start).toBeGreaterThanOrEqual(30.5);
      await sleep(60);
      expect(fired).toBe(1);
    });

    it("sets timers that can be cancelled, and long ones", async () => {
      let fired = 0;
      const short = suite.network.setTimer(() => (fired += 1), 10);
      const long = suite.network.setTimer(() => (fired += 1), 2 ** 40);
      short.cancel();
      short.cancel();
      await sleep(40);
      expect(fired).toBe(0);
      long.cancel();
    });
  });
}

function describeTurns(suite: SuiteContext): void {
  describe("a turn", () => {
    it("comes once, and not from within the call", async () => {
      let turns = 0;
      suite.network.scheduleTurn(() => (turns += 1));
      expect(turns).toBe(0);
      await sleep(20);
      expect(turns).toBe(1);
    });

    it("can ask for the next one", async () => {
      let turns = 0;
      await new Promise<void>((resolve) => {
        const turn = (): void => {
          turns += 1;
          if (turns === 10) resolve();
          else suite.network.scheduleTurn(turn);
        };
        suite.network.scheduleTurn(turn);
      });
      expect(turns).toBe(10);
    });

    it("serves the events that are pending together", async (context) => {
      needs(context, suite.fixture, "datagrams", "listen");
      const users = await Promise.all(
        Array.from({ length: 8 }, () => suite.bindDatagram(ipEndpoint("127.0.0.1", 0))),
      );
      const { socket } = await suite.peers.udpSocket();
      let ready = 0;
      let turns = 0;
      const readyAtFirstTurn = new Promise<number>((resolve) => {
        for (const user of users) {
          void user.edge(Readiness.readable).then(() => {
            ready += 1;
            if (turns === 0) suite.network.scheduleTurn(() => resolve(ready));
            turns += 1;
          });
        }
      });
      await nextTurn();
      for (const user of users) {
        socket.send("x", (user.socket.localEndpoint as IpEndpoint).port, "127.0.0.1");
      }
      expect(await readyAtFirstTurn).toBe(users.length);
    });
  });

  describe("the resolvers", () => {
    it("are addresses with ports", () => {
      for (const server of suite.network.dnsServers()) {
        expect([4, 6]).toContain(server.family);
        expect(server.bytes).toHaveLength(server.family === 4 ? 4 : 16);
        expect(server.port).toBeGreaterThan(0);
      }
    });
  });

  describe("ICMP echo", () => {
    it("is to be had, or refused by an errno", () => {
      const echo = suite.network.openEcho(4);
      if (typeof echo === "number") {
        expect(["-EPERM", "-ENOTSUP"]).toContain(answerName(echo));
      } else {
        expect(echo.nextLength()).toBe(-Errno.EAGAIN);
        echo.close();
      }
    });
  });
}

function describeClosing(suite: SuiteContext): void {
  describe("closing the network", () => {
    it("ends streams, timers and turns; nothing is called afterwards", async () => {
      const { user, peer } = await suite.connectedStream();
      const ended = once(peer, "close");
      peer.on("end", () => peer.end()).resume();
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.EAGAIN);
      let called = 0;
      user.socket.onReady = () => (called += 1);
      suite.network.setTimer(() => (called += 1), 5);
      suite.network.scheduleTurn(() => (called += 1));
      const closing = suite.network.close();
      await Promise.all([closing, suite.network.close()]);
      await ended;
      await sleep(30);
      expect(called).toBe(0);
    });

    it("sends what was taken", async () => {
      const { user, peer } = await suite.connectedStream();
      user.trySend(Buffer.from("last words"));
      await suite.network.close();
      const [bytes] = (await once(peer.resume(), "data")) as [Buffer];
      expect(bytes.toString()).toBe("last words");
    });

    it("ends listeners and UDP sockets, and gives their ports back", async (context) => {
      needs(context, suite.fixture, "listen", "datagrams");
      const listener = await suite.listen(ipEndpoint("127.0.0.1", 0));
      const tcp = listener.socket.localEndpoint as IpEndpoint;
      const udp = (await suite.bindDatagram(tcp)).socket.localEndpoint as IpEndpoint;
      await suite.peers.connect(tcp);
      await suite.network.close();
      const next = await suite.fixture.make();
      (await next.listenStream(tcp)).close();
      (await next.bindDatagram(udp)).close();
      await next.close();
    });

    it("lets nothing new be opened", async (context) => {
      await suite.network.close();
      const remote = ipEndpoint("127.0.0.1", 9);
      expect(suite.network.connectStream(remote)).toBeLessThan(0);
      expect(suite.network.openDatagram(4)).toBeLessThan(0);
      needs(context, suite.fixture, "listen");
      await expect(suite.network.listenStream(remote)).rejects.toThrow("closed");
      await expect(suite.network.bindDatagram(remote)).rejects.toThrow("closed");
      suite.network.scheduleTurn(() => expect.unreachable("a turn after close"));
      suite.network.setTimer(() => expect.unreachable("a timer after close"), 1);
      await sleep(20);
    });
  });
}
