/**
 * What time does to a stack, by a clock that the test moves; and that an idle stack needs none.
 */
import { describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { ManualClock, settleEvents } from "../support/manual-clock.js";
import { IcmpType } from "../support/packet.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
  type WorldOptions,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const MINUTE_MS = 60_000;

async function openStill(options: WorldOptions = {}): Promise<World & { clock: ManualClock }> {
  const clock = new ManualClock();
  const world = await openWorld({ ...options, network: { ...options.network, clock } });
  return { ...world, clock };
}

/** Timers that would keep a process. */
function holdingTimers({ network }: World): number {
  return network.timers().filter(({ keepAlive }) => keepAlive).length;
}

describe("an idle stack", () => {
  it("has no timer but the router advertisement's, which holds no process", async () => {
    const world = await openStill();
    await world.clock.advance(2 * MINUTE_MS);
    expect(world.network.timers().map(({ keepAlive }) => keepAlive)).toEqual([false]);
  });

  it("has none at all without IPv6", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    await world.clock.advance(2 * MINUTE_MS);
    expect(world.network.timers()).toEqual([]);
  });

  it("has none with a connection that is established and quiet", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = await world.guest.connect(GATEWAY[4], port).opened();
    const peer = await server.connection();
    peer.on("data", (data) => peer.write(data)).resume();
    connection.sendNow(Buffer.from("echo"));
    await connection.untilReceived(4);
    await world.clock.advance(MINUTE_MS);
    expect(world.network.timers()).toEqual([]);
    connection.sendNow(Buffer.from("again"));
    await connection.untilReceived(9);
  });

  it("advertises itself as router again and again", async () => {
    const world = await openStill();
    await world.clock.advance(60 * MINUTE_MS);
    const advertisements = world.guest.icmp.filter(
      ({ type }) => type === IcmpType.routerAdvertisement,
    );
    // RFC 4861 6.2.1: at least every 30 minutes; libslirp: every 200 to 600 s.
    expect(advertisements.length).toBeGreaterThanOrEqual(6);
  });
});

describe("datagrams that waited for the guest's address", () => {
  it("leave together once it is known, while the clock stands still", async () => {
    const world = await openStill();
    const { socket, endpoint } = await world.peers.udpSocket();
    socket.on("message", (bytes, { port }) => socket.send(bytes, port, "127.0.0.1"));
    // The guest's first traffic: the stack has to ask for its address before it can answer.
    world.guest.together(() => {
      for (let i = 0; i < 100; i++)
        world.guest.sendDatagram(3000, GATEWAY[4], endpoint.port, Buffer.from(String(i)));
    });
    for (let i = 0; i < 100; i++)
      expect((await world.guest.nextDatagram(3000)).payload.toString()).toBe(String(i));
  });
});

describe("what ends by time", () => {
  it("TIME_WAIT", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = await world.guest.connect(GATEWAY[4], port).opened();
    const peer = await server.connection();
    peer.resume().end();
    await world.guest.until(() => connection.finReceived, "FIN");
    connection.fin();
    await world.guest.until(() => connection.isAcknowledged, "the acknowledgement");
    expect(world.slirp.connectionInfo()).toContain("TIME_WAIT");
    await world.clock.advance(20_000);
    expect(world.slirp.connectionInfo()).not.toContain("TIME_WAIT");
    expect(world.slirp.sockets()).toEqual([]);
    expect(world.network.timers()).toEqual([]);
  });

  it("a UDP socket that nobody uses, after four minutes", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    const { endpoint } = await world.peers.udpSocket();
    world.guest.sendDatagram(2000, GATEWAY[4], endpoint.port, Buffer.from("x"));
    await settleEvents();
    expect(world.slirp.sockets()).toHaveLength(1);
    await world.clock.advance(3 * MINUTE_MS);
    expect(world.slirp.sockets()).toHaveLength(1);
    await world.clock.advance(2 * MINUTE_MS);
    expect(world.slirp.sockets()).toEqual([]);
    expect(world.network.timers()).toEqual([]);
  });

  it("a socket for names, soon after the answer", async () => {
    const clock = new ManualClock();
    const resolvers: IpEndpoint[] = [];
    const world = await openWorld({
      slirp: { ipv6: false },
      network: { clock, dnsServers: () => resolvers },
    });
    const { socket, endpoint } = await world.peers.udpSocket();
    resolvers.push(endpoint);
    socket.on("message", (bytes, { port }) => socket.send(bytes, port, "127.0.0.1"));
    world.guest.sendDatagram(2000, "10.0.2.3", 53, Buffer.from("name?"));
    expect((await world.guest.nextDatagram(2000)).from).toBe("10.0.2.3");
    await clock.advance(15_000);
    expect(world.slirp.sockets()).toEqual([]);
    expect(world.network.timers()).toEqual([]);
  });

  it("a connection that the host never answers", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    // Given no answer: the socket is opened to an address of ours that takes no connection in, ever.
    const never = world.network.inner.connectStream.bind(world.network.inner);
    world.network.inner.connectStream = (remote, options) => {
      const stream = never(remote, options);
      if (typeof stream === "number") return stream;
      return Object.defineProperty(stream, "onReady", {
        set: () => undefined,
        get: () => undefined,
      });
    };
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const connection = world.guest.connect(GATEWAY[4], (server.endpoint as IpEndpoint).port);
    await settleEvents();
    await world.clock.advance(MINUTE_MS);
    expect(connection.reset).toBeUndefined();
    await world.clock.advance(MINUTE_MS);
    expect(connection.reset).toBeDefined();
    expect(world.slirp.sockets()).toEqual([]);
    expect(world.network.timers()).toEqual([]);
  });

  it("an inbound connection that the guest never answers", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    world.guest.arp();
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-10.0.2.15:80");
    const peer = await world.peers.connect(host);
    const ended = new Promise((resolve) => peer.once("close", resolve));
    peer.resume();
    await world.guest.until(() => world.guest.strays.length > 0, "SYN");
    for (let i = 0; i < 4; i++) await world.clock.advance(MINUTE_MS);
    await ended;
    expect(world.slirp.sockets().map(({ kind }) => kind)).toEqual(["listener"]);
    expect(holdingTimers(world)).toBe(0);
  });

  it("a datagram for a guest that answers no ARP", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    const { host } = await world.slirp.addForward("udp:127.0.0.1:0-10.0.2.99:80");
    const { socket } = await world.peers.udpSocket();
    socket.send("anyone?", (host as IpEndpoint).port, "127.0.0.1");
    await world.guest.until(() => world.guest.framesReceived > 0, "the ARP request");
    await world.clock.advance(10_000);
    expect(holdingTimers(world)).toBe(0);
  });

  it("fragments whose rest does not come", async () => {
    const world = await openStill({ slirp: { ipv6: false } });
    world.guest.lose = () => false;
    const frames: Uint8Array[] = [];
    const send = world.guest.sendFrame.bind(world.guest);
    world.guest.sendFrame = (frame) => frames.push(frame);
    world.guest.sendDatagram(2000, GATEWAY[4], 9, new Uint8Array(4000));
    world.guest.sendFrame = send;
    expect(frames.length).toBeGreaterThan(2);
    send(frames[0] ?? new Uint8Array());
    await settleEvents();
    await world.clock.advance(2 * MINUTE_MS);
    expect(world.network.timers()).toEqual([]);
    for (const frame of frames.slice(1)) send(frame);
    await settleEvents();
    expect(world.network.datagramsSent, "the first fragment has been forgotten").toEqual([]);
  });
});
