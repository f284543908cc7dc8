/** What the streams of Node's host network promise beyond the contract, on either kind of sockets. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ipEndpoint } from "../../src/address.js";
import { Errno, Readiness, type HostStream } from "../../src/host-network.js";
import { createNodeHostNetwork, type NodeHostNetwork } from "../../src/node/node-host-network.js";
import { howItEnds, PeerKit, readBytes } from "../host-network-contract/peer-kit.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";
import { opened, sendUntilFull, sleep, StreamUser } from "../host-network-contract/stack-side.js";

const LINGER_MS = 300;

/** Sends urgent data between other data, then FIN. */
const URGENT_SERVER = `
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
peer, _ = server.accept()
peer.send(b"before")
peer.send(b"!", socket.MSG_OOB)
peer.send(b"behind")
peer.close()`;

function hasPython(): boolean {
  return spawnSync("python3", ["--version"]).status === 0;
}

describe.each(["node", "native"] as const)(
  "a stream of Node's host network, sockets %s",
  (sockets) => {
    const peers = new PeerKit();
    let network: NodeHostNetwork;

    beforeEach((context) => {
      const missing = sockets === "native" ? whyNoNativeSockets() : undefined;
      if (missing !== undefined) context.skip(missing);
      network = createNodeHostNetwork({ sockets, lingerMs: LINGER_MS, closeTimeoutMs: 200 });
    });

    afterEach(async () => {
      await (network as NodeHostNetwork | undefined)?.close();
      await peers.close();
    });

    const connected = async () => {
      const server = await peers.tcpServer();
      const user = new StreamUser(opened(network.connectStream(server.endpoint)));
      expect(await user.connected()).toBe(0);
      return { user, peer: await server.connection() };
    };

    it("makes one write of what is sent in one turn", async (context) => {
      if (sockets === "native")
        context.skip("every send is a write there: the stack makes one a turn");
      const { user, peer } = await connected();
      const pieces: string[] = [];
      peer.on("data", (piece: Buffer) => pieces.push(piece.toString())).resume();
      for (const text of ["a", "b", "c"]) user.trySend(Buffer.from(text), Buffer.from("-"));
      while (pieces.length === 0) await sleep(5);
      expect(pieces).toEqual(["a-b-c-"]);
    });

    it("keeps single bytes of a stack that does not read in little memory", async () => {
      const { user, peer } = await connected();
      const before = process.memoryUsage();
      for (let i = 0; i < 20_000; i += 1) {
        peer.write("x");
        if (i % 20 === 0) await sleep(0);
      }
      while (peer.writableLength > 0) await sleep(5);
      await sleep(50);
      const target = Buffer.alloc(100_000);
      let received = 0;
      for (let count = 1; count > 0; received += Math.max(count, 0))
        count = user.tryReceive(target);
      expect(received).toBe(20_000);
      const after = process.memoryUsage();
      // Two chunks; far below what 20,000 objects for a byte each would take.
      expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1_000_000);
    });

    it("tells by RST that received data was thrown away at close", async () => {
      const { user, peer } = await connected();
      peer.write("never read");
      await user.edge(Readiness.readable);
      user.close();
      expect(await howItEnds(peer)).toBe("ECONNRESET");
    });

    it("tells a reset at once, though nothing is read", async (context) => {
      if (sockets === "node") context.skip("Node does not look at a stream that it does not read");
      const { user, peer } = await connected();
      peer.write("never read", () => peer.resetAndDestroy());
      await user.edge(Readiness.error);
      expect(user.takeError()).toBe(Errno.ECONNRESET);
      expect(user.tryReceive(Buffer.alloc(100))).toBe(10);
      expect(user.tryReceive(Buffer.alloc(100))).toBe(-Errno.ECONNRESET);
    });

    it("still sends what was taken where received data is thrown away at close", async (context) => {
      if (sockets === "node") context.skip("what is with the kernel already is lost there");
      const { user, peer } = await connected();
      const taken = sendUntilFull(user);
      peer.write(Buffer.alloc(200_000, "never read"));
      await user.edge(Readiness.readable);
      user.close();
      const got = await readBytes(peer, taken.length);
      expect(got.equals(taken)).toBe(true);
      expect(peer.bytesRead).toBe(taken.length);
    });

    it("keeps urgent data in its place, and what stands behind it", async (context) => {
      if (!hasPython())
        context.skip("Node's own sockets send no urgent data, and there is no python3");
      if (sockets === "node") context.skip("Node leaves out the urgent byte");
      const server = spawn("python3", ["-c", URGENT_SERVER]);
      const [port] = (await once(server.stdout, "data")) as [Buffer];
      const remote = ipEndpoint("127.0.0.1", Number(port));
      const user = new StreamUser(opened(network.connectStream(remote)));
      expect(await user.connected()).toBe(0);
      await sleep(50);
      expect((await user.receiveBytes()).toString()).toBe("before!behind");
    });

    it("gives up a reader that takes nothing for the linger time after close", async () => {
      const { user, peer } = await connected();
      for (let idle = 0; idle < 5;) {
        idle = sendUntilFull(user).length > 0 ? 0 : idle + 1;
        await sleep(20);
      }
      const start = Date.now();
      user.close();
      // A peer that does not read learns of RST by writing.
      const failed = once(peer, "error");
      const writing = setInterval(() => peer.write("still there?"), 20);
      const [error] = (await failed) as [NodeJS.ErrnoException];
      clearInterval(writing);
      expect(["ECONNRESET", "EPIPE"]).toContain(error.code);
      expect(Date.now() - start).toBeGreaterThanOrEqual(LINGER_MS - 20);
    });

    it("does not wait longer than it may when the network is closed", async () => {
      const { user } = await connected();
      for (let idle = 0; idle < 5;) {
        idle = sendUntilFull(user).length > 0 ? 0 : idle + 1;
        await sleep(20);
      }
      const start = Date.now();
      await network.close();
      expect(Date.now() - start).toBeLessThan(10_000);
    });

    it("seen closed by both sides, is told hangup and answers to the end", async () => {
      const { user, peer } = await connected();
      user.shutdownWrite();
      peer.end();
      peer.resume();
      await user.edge(Readiness.hangup);
      expect(user.tryReceive(Buffer.alloc(1))).toBe(0);
      expect(user.trySend(Buffer.from("x"))).toBe(-Errno.EPIPE);
      user.close();
    });

    it("refuses at once what can never be", () => {
      const refused: (HostStream | number)[] = [
        network.connectStream({ family: "unix", path: "/tmp/".padEnd(200, "x") }),
        network.connectStream({ family: "unix", path: "" }),
        network.connectStream({ family: "unix", path: "/tmp/\0x" }),
        network.connectStream(ipEndpoint("127.0.0.1", 70_000)),
        network.connectStream(ipEndpoint("127.0.0.1", 9), { local: ipEndpoint("::1", 0) }),
      ];
      expect(refused).toEqual(refused.map(() => -Errno.EINVAL));
    });

    it("tells an address to connect from that is not ours", async () => {
      const remote = ipEndpoint("127.0.0.1", 9);
      const local = ipEndpoint("203.0.113.9", 0);
      const user = new StreamUser(opened(network.connectStream(remote, { local })));
      expect(await user.connected()).toBe(Errno.EADDRNOTAVAIL);
    });
  },
);
