/** The contract of streams: FIN, RST, close, each from both sides. */
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { Errno, Readiness } from "../../src/host-network.js";
import { needs } from "./fixture.js";
import { howItEnds, readBytes, readToEnd } from "./peer-kit.js";
import { nextTick, nextTurn, sendUntilFull, sleep } from "./stack-side.js";
import type { SuiteContext } from "./suite-context.js";
import { sha256, testBytes } from "./test-data.js";

const MANY_BYTES = 3 * 1024 * 1024;

export function describeStreamEnds(suite: SuiteContext): void {
  describeFin(suite);
  describeReset(suite);
  describeClose(suite);
}

function describeFin(suite: SuiteContext): void {
  describe("the end of a stream", () => {
    it("is read after all data, again and again", async () => {
      const { user, peer } = await suite.connectedStream();
      peer.end("the last words");
      expect((await user.receiveBytes()).toString()).toBe("the last words");
      expect(user.tryReceive(Buffer.alloc(10))).toBe(0);
      expect(user.tryReceive(Buffer.alloc(10))).toBe(0);
    });

    it("owes the edge readable", async () => {
      const { user, peer } = await suite.connectedStream();
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.EAGAIN);
      peer.end();
      await user.edge(Readiness.readable);
      expect(user.tryReceive(Buffer.alloc(1))).toBe(0);
    });

    it("from the other side leaves our side open", async (context) => {
      needs(context, suite.fixture, "halfClose");
      const { user, peer } = await suite.connectedStream();
      peer.end();
      expect(await user.receive(Buffer.alloc(10))).toBe(0);
      await sleep(20);
      const data = testBytes(MANY_BYTES);
      const sending = user.sendBytes(data).then(() => user.shutdownWrite());
      const [got] = await Promise.all([readToEnd(peer), sending]);
      expect(sha256(got)).toBe(sha256(data));
    });

    it("from our side leaves the other side open", async (context) => {
      needs(context, suite.fixture, "halfClose");
      const { user, peer } = await suite.connectedStream();
      await user.sendBytes(Buffer.from("question"));
      user.shutdownWrite();
      expect(user.trySend(Buffer.from("more"))).toBe(-Errno.EPIPE);
      expect((await readToEnd(peer)).toString()).toBe("question");
      const data = testBytes(MANY_BYTES);
      peer.end(data);
      expect(sha256(await user.receiveBytes())).toBe(sha256(data));
    });

    it("is sent behind everything that was taken", async (context) => {
      needs(context, suite.fixture, "halfClose");
      const { user, peer } = await suite.connectedStream();
      const taken = sendUntilFull(user);
      user.shutdownWrite();
      user.shutdownWrite();
      expect(sha256(await readToEnd(peer))).toBe(sha256(taken));
    });

    it("may be asked for while connecting", async (context) => {
      needs(context, suite.fixture, "halfClose");
      const server = await suite.peers.tcpServer();
      const user = suite.connect(server.endpoint);
      user.shutdownWrite();
      const peer = await server.connection();
      expect(await readToEnd(peer)).toHaveLength(0);
      peer.end("answer");
      expect((await user.receiveBytes()).toString()).toBe("answer");
    });
  });
}

function describeReset(suite: SuiteContext): void {
  describe("a reset", () => {
    it("by the other side is an error, told at every call", async (context) => {
      needs(context, suite.fixture, "reset");
      const { user, peer } = await suite.connectedStream();
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.EAGAIN);
      peer.resetAndDestroy();
      await user.edge(Readiness.error);
      expect(user.takeError()).toBe(Errno.ECONNRESET);
      expect(user.takeError()).toBe(0);
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.ECONNRESET);
      expect(user.trySend(Buffer.from("x"))).toBeLessThan(0);
      expect(user.trySend(Buffer.from("x"))).not.toBe(-Errno.EAGAIN);
      user.close();
    });

    it("by the other side leaves what came before it readable", async (context) => {
      needs(context, suite.fixture, "reset");
      const { user, peer } = await suite.connectedStream();
      peer.write("before");
      await user.edge(Readiness.readable);
      peer.resetAndDestroy();
      await user.edge(Readiness.error);
      const target = Buffer.alloc(100);
      expect(user.tryReceive(target)).toBe(6);
      expect(user.tryReceive(target)).toBe(-Errno.ECONNRESET);
    });

    it("by the other side is not taken for an end because data came with it", async (context) => {
      needs(context, suite.fixture, "reset");
      const { user, peer } = await suite.connectedStream();
      // Everything between is connected when that has come through.
      user.trySend(Buffer.from("hello"));
      await once(peer.resume(), "data");
      peer.write("before");
      peer.resetAndDestroy();
      await user.edge(Readiness.error);
      const target = Buffer.alloc(100);
      expect(user.tryReceive(target)).toBe(6);
      expect(user.tryReceive(target)).toBe(-Errno.ECONNRESET);
    });

    it("by us is seen as such by the other side", async (context) => {
      needs(context, suite.fixture, "reset");
      const { user, peer } = await suite.connectedStream();
      user.reset();
      user.reset();
      expect(await howItEnds(peer)).toBe("ECONNRESET");
    });

    it("by us throws away what was still to be sent", async (context) => {
      needs(context, suite.fixture, "reset");
      const { user, peer } = await suite.connectedStream();
      sendUntilFull(user);
      user.reset();
      expect(await howItEnds(peer)).toBe("ECONNRESET");
    });

    it.each(["the call", "the tick", "the turn"])(
      "by us may follow FIN after %s",
      async (after) => {
        const { user, peer } = await suite.connectedStream();
        const closed = new Promise((resolve) => peer.once("close", resolve));
        peer.on("end", () => peer.end()).resume();
        user.shutdownWrite();
        if (after === "the tick") await nextTick();
        if (after === "the turn") await nextTurn();
        user.reset();
        await closed;
      },
    );
  });
}

function describeClose(suite: SuiteContext): void {
  describe("close", () => {
    it("still sends what was taken, then FIN", async () => {
      const { user, peer } = await suite.connectedStream();
      const taken = sendUntilFull(user);
      user.close();
      user.close();
      expect(sha256(await readToEnd(peer))).toBe(sha256(taken));
    });

    it("sends FIN where nothing is left to do", async () => {
      const { user, peer } = await suite.connectedStream();
      user.close();
      expect(await howItEnds(peer)).toBe("FIN");
    });

    it("is followed by no edge, whatever the other side does", async () => {
      const { user, peer } = await suite.connectedStream();
      expect(user.tryReceive(Buffer.alloc(1))).toBe(-Errno.EAGAIN);
      peer.write("data that comes too late");
      user.close();
      peer.end("and more");
      await sleep(50);
      peer.destroy();
      await sleep(20);
    });

    it("keeps an edge from coming that was on its way", async () => {
      const { user, peer, server } = await suite.connectedStream();
      user.close();
      const stream = suite.open(server.endpoint);
      const latePeer = await server.connection();
      latePeer.write("data");
      await sleep(30);
      let edges = 0;
      stream.onReady = () => (edges += 1);
      stream.close();
      await sleep(30);
      expect(edges).toBe(0);
      peer.destroy();
    });

    it("leaves the bytes of other streams alone", async () => {
      const { user, server } = await suite.connectedStream();
      const other = await suite.connectedStream(server);
      sendUntilFull(user);
      user.reset();
      const data = testBytes(500_000, 7);
      const [got] = await Promise.all([
        readBytes(other.peer, data.length),
        other.user.sendBytes(data),
      ]);
      expect(sha256(got)).toBe(sha256(data));
    });
  });
}
