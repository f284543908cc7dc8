/** What a guest is told on the addon's sockets that Node's keep from it. */
import { networkInterfaces } from "node:os";
import { beforeEach, describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";
import { IcmpType, quotedPacket } from "../support/packet.js";
import { closeWorldsAfterEach, GATEWAY, LOOPBACK, openWorld } from "../support/raw-world.js";

const missing = whyNoNativeSockets();

closeWorldsAfterEach();
beforeEach((context) => {
  if (missing !== undefined) context.skip(missing);
});

const openNativeWorld = () =>
  openWorld({ network: { inner: createNodeHostNetwork({ sockets: "native" }) } });

describe.each([4, 6] as const)("on the addon's sockets, over IPv%i", (family) => {
  it("a guest is told that nobody is at a UDP port", async () => {
    const world = await openNativeWorld();
    const { socket, endpoint } = await world.peers.udpSocket(LOOPBACK[family]);
    const closed = await world.network.bindDatagram({ ...endpoint, port: 0 });
    const { port } = closed.localEndpoint as IpEndpoint;
    closed.close();
    world.guest.sendDatagram(3000, GATEWAY[family], port, Buffer.from("?"));
    const message = await world.guest.until(
      () => world.guest.icmp.find(({ type }) => type === IcmpType.unreachable[family]),
      "unreachable",
    );
    expect(quotedPacket(message)).toMatchObject({ sourcePort: 3000, destinationPort: port });
    // The same port of the guest goes on to others.
    socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
    world.guest.sendDatagram(3000, GATEWAY[family], endpoint.port, Buffer.from("hello"));
    expect((await world.guest.nextDatagram(3000)).payload.toString()).toBe("hello");
  });

  it("a guest whose connection is idle is told of a reset at once", async () => {
    const world = await openNativeWorld();
    const server = await world.peers.tcpServer(LOOPBACK[family]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = await world.guest.connect(GATEWAY[family], port).opened();
    (await server.connection()).resetAndDestroy();
    await world.guest.until(() => connection.reset, "RST");
  });
});

it("a guest pings what the host can ping", async (context) => {
  const world = await openNativeWorld();
  const echo = world.network.openEcho(4);
  if (typeof echo === "number") context.skip("the system lets this user ping nobody: icmp(7)");
  else echo.close();
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = addresses.find(
    (entry) => entry.family === "IPv4" && !entry.address.startsWith("127."),
  );
  if (own === undefined) context.skip("this machine has no address but loopback's");
  const data = Buffer.from("are you there?");
  for (const number of [1, 2]) {
    world.guest.ping(own?.address ?? "", data, number);
    const reply = await world.guest.until(
      () => world.guest.icmp.find(({ type, body }) => type === 0 && body[3] === number),
      "the answer",
    );
    expect(reply.body.subarray(0, 4)).toEqual(Uint8Array.of(0x12, 0x34, 0, number));
    expect(Buffer.from(reply.body.subarray(4)).equals(data)).toBe(true);
  }
});
