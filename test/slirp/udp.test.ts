/**
 * Datagrams: there and back, who answers come from, and the virtual name server.
 */
import { describe, expect, it } from "vitest";
import type { IpEndpoint, IpFamily } from "../../src/address.js";
import { testBytes } from "../host-network-contract/test-data.js";
import { settleEvents } from "../support/manual-clock.js";
import { IcmpType, quotedPacket } from "../support/packet.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

const NAME_SERVER = { 4: "10.0.2.3", 6: "fec0::3" } as const;

/** A UDP server that answers with what it gets behind its name; silent where `answers` is false. */
async function udpServer(
  world: World,
  family: IpFamily,
  name: string,
  answers = true,
): Promise<{ endpoint: IpEndpoint; asked: string[] }> {
  const { socket, endpoint } = await world.peers.udpSocket(LOOPBACK[family]);
  const asked: string[] = [];
  socket.on("message", (bytes, { port }) => {
    asked.push(bytes.toString());
    if (answers) socket.send(`${name}: ${bytes.toString()}`, port, LOOPBACK[family]);
  });
  return { endpoint, asked };
}

for (const family of [4, 6] as const) {
  describe(`UDP over IPv${String(family)}`, () => {
    for (const length of [0, 1, 1000, 1400]) {
      it(`${String(length)} bytes go there and come back`, async () => {
        const world = await openWorld();
        const { socket, endpoint } = await world.peers.udpSocket(LOOPBACK[family]);
        socket.on("message", (bytes, { port }) => socket.send(bytes, port, LOOPBACK[family]));
        const data = testBytes(length + 1).subarray(0, length);
        world.guest.sendDatagram(3000, GATEWAY[family], endpoint.port, data);
        const answer = await world.guest.nextDatagram(3000);
        expect(answer.payload.equals(data)).toBe(true);
        expect(answer).toMatchObject({ from: GATEWAY[family], fromPort: endpoint.port });
      });
    }

    it("a burst of 100 of one port comes back in order", async () => {
      const world = await openWorld();
      const { endpoint } = await udpServer(world, family, "a");
      world.guest.together(() => {
        for (let i = 0; i < 100; i++) {
          world.guest.sendDatagram(3000, GATEWAY[family], endpoint.port, Buffer.from(String(i)));
        }
      });
      for (let i = 0; i < 100; i++) {
        expect((await world.guest.nextDatagram(3000)).payload.toString()).toBe(`a: ${String(i)}`);
      }
    });

    it("one port asks the name server and another host: answers come from who was asked", async () => {
      const resolvers: IpEndpoint[] = [];
      const world = await openWorld({ network: { dnsServers: () => resolvers } });
      const names = await udpServer(world, family, "names");
      const other = await udpServer(world, family, "other");
      resolvers.push(names.endpoint);
      for (const round of ["1", "2"]) {
        // Both orders: the answer to the first must not come from the last destination.
        const send = [
          () => world.guest.sendDatagram(3000, NAME_SERVER[family], 53, Buffer.from(round)),
          () =>
            world.guest.sendDatagram(
              3000,
              GATEWAY[family],
              other.endpoint.port,
              Buffer.from(round),
            ),
        ];
        world.guest.together(() => {
          for (const act of round === "1" ? send : send.reverse()) act();
        });
        const answers = [
          await world.guest.nextDatagram(3000),
          await world.guest.nextDatagram(3000),
        ];
        const bySender = Object.fromEntries(
          answers.map(({ from, fromPort, payload }) => [
            `${from} ${String(fromPort)}`,
            payload.toString(),
          ]),
        );
        expect(bySender).toEqual({
          [`${NAME_SERVER[family]} 53`]: `names: ${round}`,
          [`${GATEWAY[family]} ${String(other.endpoint.port)}`]: `other: ${round}`,
        });
      }
    });

    it("a guest that asks again is answered by the next resolver", async () => {
      const resolvers: IpEndpoint[] = [];
      const world = await openWorld({ network: { dnsServers: () => resolvers } });
      const silent = await udpServer(world, family, "silent", false);
      const second = await udpServer(world, family, "second");
      resolvers.push(silent.endpoint, second.endpoint);
      world.guest.sendDatagram(3000, NAME_SERVER[family], 53, Buffer.from("try 1"));
      await world.guest.until(() => silent.asked.length > 0, "the first resolver to be asked");
      world.guest.sendDatagram(3000, NAME_SERVER[family], 53, Buffer.from("try 2"));
      const answer = await world.guest.nextDatagram(3000);
      expect(answer.payload.toString()).toBe("second: try 2");
      expect(answer).toMatchObject({ from: NAME_SERVER[family], fromPort: 53 });
    });

    it("a resolver of the other IP version answers too", async () => {
      const resolvers: IpEndpoint[] = [];
      const world = await openWorld({ network: { dnsServers: () => resolvers } });
      const { endpoint } = await udpServer(world, family === 4 ? 6 : 4, "names");
      resolvers.push(endpoint);
      world.guest.sendDatagram(3000, NAME_SERVER[family], 53, Buffer.from("?"));
      const answer = await world.guest.nextDatagram(3000);
      expect(answer.payload.toString()).toBe("names: ?");
      expect(answer).toMatchObject({ from: NAME_SERVER[family], fromPort: 53 });
    });

    it("names over TCP come from the resolver as well", async () => {
      const resolvers: IpEndpoint[] = [];
      const world = await openWorld({ network: { dnsServers: () => resolvers } });
      const server = await world.peers.tcpServer(LOOPBACK[family]);
      resolvers.push(server.endpoint as IpEndpoint);
      const connection = await world.guest.connect(NAME_SERVER[family], 53).opened();
      (await server.connection()).write("an answer");
      await connection.untilReceived(9);
    });

    it("without any resolver the guest is told, and nothing breaks", async () => {
      const world = await openWorld({ network: { dnsServers: () => [] } });
      world.guest.sendDatagram(3000, NAME_SERVER[family], 53, Buffer.from("?"));
      const message = await world.guest.until(
        () => world.guest.icmp.find(({ type }) => type === IcmpType.unreachable[family]),
        "unreachable",
      );
      expect(quotedPacket(message)).toMatchObject({ sourcePort: 3000, destinationPort: 53 });
      const connection = world.guest.connect(NAME_SERVER[family], 53);
      await world.guest.until(() => connection.reset, "RST");
    });
  });
}

describe("large datagrams", () => {
  it("go in fragments, both ways, and arrive whole", async () => {
    const world = await openWorld();
    const { socket, endpoint } = await world.peers.udpSocket();
    socket.on("message", (bytes, { port }) => socket.send(bytes, port, "127.0.0.1"));
    const data = testBytes(9000);
    world.guest.sendDatagram(3000, GATEWAY[4], endpoint.port, data);
    expect((await world.guest.nextDatagram(3000)).payload.equals(data)).toBe(true);
  });
});

describe("switches", () => {
  it("disableHostLoopback keeps the guest from the host", async () => {
    const world = await openWorld({ slirp: { disableHostLoopback: true } });
    const { asked, endpoint } = await udpServer(world, 4, "host");
    const server = await world.peers.tcpServer();
    world.guest.sendDatagram(3000, GATEWAY[4], endpoint.port, Buffer.from("?"));
    world.guest.connect(GATEWAY[4], (server.endpoint as IpEndpoint).port);
    await world.guest.until(() => world.guest.icmp.length > 0, "to be told");
    await settleEvents();
    expect(asked).toEqual([]);
    expect(world.network.connects).toEqual([]);
  });

  it("restricted lets nothing out", async () => {
    const world = await openWorld({ slirp: { restricted: true } });
    world.guest.sendDatagram(3000, "192.0.2.1", 9, Buffer.from("?"));
    const connection = world.guest.connect("192.0.2.1", 9);
    await world.guest.until(() => connection.reset, "RST");
    expect(world.network.connects).toEqual([]);
    expect(world.network.datagramsSent).toEqual([]);
  });
});

describe("ICMP echo", () => {
  for (const family of [4, 6] as const) {
    it(`the gateway answers over IPv${String(family)}`, async () => {
      const world = await openWorld();
      const data = testBytes(500);
      world.guest.ping(GATEWAY[family], data, 77);
      const reply = await world.guest.until(
        () => world.guest.icmp.find(({ type }) => type === IcmpType.echoReply[family]),
        "the answer",
      );
      expect(reply.body.subarray(0, 4)).toEqual(Uint8Array.of(0x12, 0x34, 0, 77));
      expect(Buffer.from(reply.body.subarray(4)).equals(data)).toBe(true);
    });
  }
});
