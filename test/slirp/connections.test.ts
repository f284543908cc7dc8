/** The table of connections: who with whom, how it stands, how much went through. */
import { describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { readBytes } from "../host-network-contract/peer-kit.js";
import { testBytes } from "../host-network-contract/test-data.js";
import type { RawConnection } from "../support/raw-connection.js";
import {
  closeWorldsAfterEach,
  forward,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const GUEST = { 4: "10.0.2.15", 6: "[fec0::" } as const;

function onlyOne(world: World) {
  const connections = world.slirp.connections();
  expect(connections).toHaveLength(1);
  const [connection] = connections;
  if (!connection) throw new Error("there is none");
  return connection;
}

describe("connections", () => {
  it.each([4, 6] as const)("count what went each way, over IPv%i", async (family) => {
    const world = await openWorld();
    const server = await world.peers.tcpServer(LOOPBACK[family]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = await world.guest.connect(GATEWAY[family], port).opened();
    const peer = await server.connection();
    const received = readBytes(peer, 70_000);
    await connection.send(testBytes(70_000));
    await received;
    peer.write(testBytes(300_000));
    await connection.untilReceived(300_000);
    await world.guest.until(() => onlyOne(world).bytesToGuest === 300_000, "the acknowledgement");
    const described = onlyOne(world);
    expect(described).toMatchObject({
      protocol: "tcp",
      state: "ESTABLISHED",
      openedBy: "guest",
      bytesFromGuest: 70_000,
      queuedFromGuest: 0,
      queuedToGuest: 0,
    });
    expect(described.guest.startsWith(GUEST[family])).toBe(true);
    const gateway = family === 4 ? GATEWAY[4] : `[${GATEWAY[6]}]`;
    expect(described.remote).toBe(`${gateway}:${String(port)}`);
  });

  it("show what the guest has not acknowledged as queued", async () => {
    const world = await openWorld();
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = await world.guest.connect(GATEWAY[4], port).opened();
    const peer = await server.connection();
    connection.acknowledge = "never";
    peer.write(testBytes(5000));
    await connection.untilReceived(5000);
    expect(onlyOne(world)).toMatchObject({ bytesToGuest: 0, queuedToGuest: 5000 });
    connection.acknowledgeNow();
    await world.guest.until(() => onlyOne(world).queuedToGuest === 0, "the acknowledgement");
    expect(onlyOne(world).bytesToGuest).toBe(5000);
  });

  it("keep their counts until TIME-WAIT is over", async () => {
    const world = await openWorld();
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = await world.guest.connect(GATEWAY[4], port).opened();
    const peer = await server.connection();
    peer.end(testBytes(1000));
    await world.guest.until(() => connection.finReceived, "FIN");
    connection.fin();
    await world.guest.until(() => onlyOne(world).state === "TIME-WAIT", "TIME-WAIT");
    expect(onlyOne(world)).toMatchObject({ bytesToGuest: 1000, bytesFromGuest: 0 });
  });

  it("are the host's where a forward brought them, and forwards are none", async () => {
    const world = await openWorld();
    world.guest.arp();
    let incoming: RawConnection | undefined;
    world.guest.listen(80, (connection) => (incoming = connection));
    const added = await world.slirp.addForward(forward("tcp:127.0.0.1:0-10.0.2.15:80"));
    expect(world.slirp.connections()).toEqual([]);
    const { port } = added.host as IpEndpoint;
    const peer = await world.peers.connect(ipEndpoint("127.0.0.1", port));
    await world.guest.until(
      () => world.slirp.connections()[0]?.state === "ESTABLISHED",
      "the connection",
    );
    expect(onlyOne(world)).toMatchObject({ openedBy: "host", guest: "10.0.2.15:80" });
    const received = readBytes(peer, 500);
    await incoming?.send(testBytes(500));
    await received;
    peer.end("bye");
    await world.guest.until(() => incoming?.finReceived, "FIN");
    incoming?.fin();
    await world.guest.until(() => onlyOne(world).state === "TIME-WAIT", "TIME-WAIT");
    expect(onlyOne(world)).toMatchObject({ bytesFromGuest: 500, bytesToGuest: 3 });
  });

  it("say so while the host has not answered", async () => {
    const world = await openWorld();
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = world.guest.connect(GATEWAY[4], port);
    // The stack's turn is a microtask; that the host has answered is an event, which comes after all of them.
    while (world.slirp.connections().length === 0) await Promise.resolve();
    expect(onlyOne(world)).toMatchObject({ state: "connecting", openedBy: "guest" });
    await connection.opened();
    expect(onlyOne(world).state).toBe("ESTABLISHED");
  });

  it("are datagrams' as well", async () => {
    const world = await openWorld();
    const { socket, endpoint } = await world.peers.udpSocket(LOOPBACK[4]);
    socket.on("message", (bytes, { port }) => {
      socket.send(Buffer.concat([bytes, bytes]), port, LOOPBACK[4]);
    });
    world.guest.sendDatagram(3000, GATEWAY[4], endpoint.port, testBytes(100));
    await world.guest.nextDatagram(3000);
    expect(onlyOne(world)).toMatchObject({
      protocol: "udp",
      state: undefined,
      guest: "10.0.2.15:3000",
      bytesFromGuest: 100,
      bytesToGuest: 200,
    });
  });
});
