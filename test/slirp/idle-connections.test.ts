/**
 * The work that an event makes does not depend on how many connections are idle: counted in calls, not in time.
 */
import { expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import type { HostStream } from "../../src/host-network.js";
import { readBytes } from "../host-network-contract/peer-kit.js";
import { ManualClock, settleEvents } from "../support/manual-clock.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const IDLE_PORT = 7;
const FEW = 10;
const MANY = 10_000;

/** A connected stream on which nothing ever happens: 10,000 real ones are more than a process may have open. */
function createIdleStream(remote: IpEndpoint): HostStream {
  let listener: ((events: number) => void) | undefined;
  return {
    localEndpoint: undefined,
    remoteEndpoint: remote,
    get onReady() {
      return listener;
    },
    set onReady(value) {
      const isFirst = listener === undefined;
      listener = value;
      // 2: writable, which says that it is connected.
      if (isFirst) queueMicrotask(() => listener?.(2));
    },
    takeError: () => 0,
    send: (first, second) => first.length + (second?.length ?? 0),
    receive: () => -6, // EAGAIN
    shutdownWrite: () => undefined,
    close: () => undefined,
    reset: () => undefined,
  };
}

async function openIdle(world: World, count: number): Promise<void> {
  for (let done = 0; done < count; done += 100) {
    const size = Math.min(100, count - done);
    const batch = Array.from({ length: size }, () => world.guest.connect(GATEWAY[4], IDLE_PORT));
    for (const connection of batch) await connection.opened();
  }
}

/** What the stack asks of the host network and sends to the guest for the same exchange on one connection. */
async function measure(idle: number): Promise<Record<string, number>> {
  const clock = new ManualClock();
  const world = await openWorld({ network: { clock } });
  const { inner } = world.network;
  const connect = inner.connectStream.bind(inner);
  inner.connectStream = (remote, options) =>
    remote.family !== "unix" && remote.port === IDLE_PORT
      ? createIdleStream(remote)
      : connect(remote, options);
  await openIdle(world, idle);
  const server = await world.peers.tcpServer(LOOPBACK[4]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await world.guest.connect(GATEWAY[4], port).opened();
  const peer = await server.connection();
  await settleEvents();
  await clock.advance(5000);
  world.network.calls.clear();
  const framesBefore = world.guest.framesReceived;
  for (let i = 1; i <= 20; i++) {
    connection.sendNow(Buffer.from("ask"));
    await readBytes(peer, 3);
    peer.write("tell");
    await connection.untilReceived(4 * i);
  }
  await settleEvents();
  const counts = world.network.calls.snapshot();
  return { ...counts, frames: world.guest.framesReceived - framesBefore };
}

it(
  "10,000 idle connections add no call and no frame to an exchange",
  { timeout: 60_000 },
  async () => {
    const few = await measure(FEW);
    const many = await measure(MANY);
    expect(few["send"]).toBe(20);
    expect(many).toEqual(few);
  },
);
