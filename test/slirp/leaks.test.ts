/**
 * What stacks and connections leave behind: nothing.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { createSlirp } from "../../src/node.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import type { PeerServer } from "../host-network-contract/peer-kit.js";
import { ManualClock, settleEvents } from "../support/manual-clock.js";
import { RawGuest } from "../support/raw-guest.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const MB = 1024 * 1024;
const TIMEOUT_MS = 120_000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Memory in use after everything that can be given back was. */
async function memoryInUse(): Promise<{
  heapBytes: number;
  outsideBytes: number;
  rssBytes: number;
}> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await settleEvents();
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, outsideBytes: external + arrayBuffers, rssBytes: rss };
}

/** Makes stacks one after the other, each of which answers a ping before it goes. */
async function useStacks(count: number): Promise<void> {
  const hostNetwork = createNodeHostNetwork();
  for (let i = 0; i < count; i++) {
    const slirp = await createSlirp({ hostNetwork });
    const guest = new RawGuest(slirp);
    guest.ping(GATEWAY[4], Buffer.from("ping"));
    await guest.until(() => guest.icmp.length > 0, "the answer");
    await slirp.close();
  }
  await hostNetwork.close();
}

describe("stacks", () => {
  it(
    "made and closed, 1,000 of them, leave memory as it was",
    { timeout: TIMEOUT_MS },
    async () => {
      await useStacks(100);
      const before = await memoryInUse();
      await useStacks(1000);
      const after = await memoryInUse();
      // A single stack that stayed would be 4 MiB of linear memory; a thousandth of each is allowed.
      expect(after.heapBytes - before.heapBytes).toBeLessThan(4 * MB);
      expect(after.outsideBytes - before.outsideBytes).toBeLessThan(4 * MB);
      expect(after.rssBytes - before.rssBytes).toBeLessThan(150 * MB);
    },
  );
});

/** Connections that say something, get it back, and end; the guest begins the end, so that none stays in TIME_WAIT. */
async function useConnections(world: World, port: number, count: number): Promise<void> {
  const { guest } = world;
  for (let done = 0; done < count; done += 50) {
    const batch = Array.from({ length: 50 }, () => guest.connect(GATEWAY[4], port));
    for (const connection of batch) await connection.opened();
    guest.together(() => {
      for (const connection of batch) connection.sendNow(Buffer.from("hello"));
    });
    for (const connection of batch) await connection.untilReceived(5);
    guest.together(() => {
      for (const connection of batch) connection.fin();
    });
    for (const connection of batch) {
      await guest.until(() => connection.finReceived && connection.isAcknowledged, "the end");
      guest.forget(connection);
    }
  }
  world.network.streams.length = 0;
  world.network.connects.length = 0;
}

/** A server that answers with what it gets and ends when its client does. */
async function echoServer(world: World): Promise<number> {
  const server = await world.peers.tcpServer(LOOPBACK[4]);
  const accept = (): void => {
    void server.connection().then((socket) => {
      socket.on("data", (data) => socket.write(data));
      socket.on("end", () => socket.end());
      socket.resume();
      accept();
    });
  };
  accept();
  return (server.endpoint as IpEndpoint).port;
}

/** Connections that the host ends first, and the guest answers: the stack is left in TIME_WAIT. */
async function putIntoTimeWait(world: World, server: PeerServer, count: number): Promise<void> {
  const { guest } = world;
  const { port } = server.endpoint as IpEndpoint;
  const batch = Array.from({ length: count }, () => guest.connect(GATEWAY[4], port));
  for (const connection of batch) {
    await connection.opened();
    const peer = await server.connection();
    peer.resume().end("the host ends first");
  }
  for (const connection of batch) {
    await guest.until(() => connection.finReceived, "the host's FIN");
    connection.fin();
    await guest.until(() => connection.isAcknowledged, "the FIN's acknowledgement");
    guest.forget(connection);
  }
}

describe("connections", () => {
  it("short ones, 10,000, leave linear memory as it was", { timeout: TIMEOUT_MS }, async () => {
    const world = await openWorld();
    const port = await echoServer(world);
    await useConnections(world, port, 2000);
    const afterTwo = world.slirp.memoryBytes;
    await useConnections(world, port, 8000);
    expect(world.slirp.memoryBytes).toBe(afterTwo);
    expect(world.slirp.sockets()).toEqual([]);
  });

  it("in TIME_WAIT cost less than 4 KiB each, and go", { timeout: TIMEOUT_MS }, async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    const { network, slirp } = world;
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const half = 1000;
    const addToTimeWait = async (): Promise<void> => {
      for (let done = 0; done < half; done += 50) {
        await putIntoTimeWait(world, server, 50);
        // Buffers that were used are given back by the slow timer. All in all less than the 10 s of TIME_WAIT.
        await clock.advance(200);
      }
    };
    await addToTimeWait();
    const before = slirp.memoryBytes;
    await addToTimeWait();
    expect(slirp.connectionInfo().split("TIME_WAIT").length - 1).toBe(2 * half);
    expect((slirp.memoryBytes - before) / half).toBeLessThan(4096);
    await clock.advance(20_000);
    expect(slirp.connectionInfo()).not.toContain("TIME_WAIT");
    expect(slirp.sockets()).toEqual([]);
    expect(network.timers().filter(({ keepAlive }) => keepAlive)).toEqual([]);
  });
});
