/**
 * How a TCP connection ends, seen from both sides: half-close, RST, and what keeps it from beginning.
 */
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { IpEndpoint, IpFamily } from "../../src/address.js";
import { Errno } from "../../src/host-network.js";
import { howItEnds, readBytes, readToEnd } from "../host-network-contract/peer-kit.js";
import { IcmpType, Protocol, quotedPacket, TcpFlag, type QuotedPacket } from "../support/packet.js";
import type { RawConnection } from "../support/raw-connection.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";

closeWorldsAfterEach();

/** A guest's connection to a real server, and the server's side of it. */
async function openConnection(
  world: World,
  family: IpFamily,
): Promise<{ connection: RawConnection; peer: Socket }> {
  const server = await world.peers.tcpServer(LOOPBACK[family]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await world.guest.connect(GATEWAY[family], port).opened();
  return { connection, peer: await server.connection() };
}

function describeHalfClose(family: IpFamily): void {
  it("the guest ends sending, and goes on receiving", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, family);
    connection.sendNow(Buffer.from("question"));
    connection.fin();
    expect((await readToEnd(peer)).toString()).toBe("question");
    await world.guest.until(() => connection.isAcknowledged, "the FIN's acknowledgement");
    expect(connection.finReceived, "the host has not ended").toBe(false);
    peer.write("a long ");
    await connection.untilReceived(7);
    peer.end("answer");
    await world.guest.until(() => connection.finReceived, "the host's FIN");
    expect(connection.take().toString()).toBe("a long answer");
  });

  it("the host ends sending, and goes on receiving", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, family);
    peer.end("greeting");
    await world.guest.until(() => connection.finReceived, "the host's FIN");
    expect(connection.take().toString()).toBe("greeting");
    const received = readToEnd(peer);
    await connection.send(Buffer.from("still "));
    await connection.send(Buffer.from("talking"));
    connection.fin();
    expect((await received).toString()).toBe("still talking");
    await world.guest.until(() => connection.isAcknowledged, "the FIN's acknowledgement");
    expect(connection.reset).toBeUndefined();
  });
}

function describeReset(family: IpFamily): void {
  it("the guest's RST is ECONNRESET for the host", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, family);
    connection.sendNow(Buffer.from("x"));
    await readBytes(peer, 1);
    const ended = howItEnds(peer);
    connection.sendReset();
    expect(await ended).toBe("ECONNRESET");
    expect(world.slirp.sockets()).toEqual([]);
  });

  it("the guest's RST after the host's FIN is ECONNRESET too", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, family);
    peer.end("bye");
    await world.guest.until(() => connection.finReceived, "the host's FIN");
    const ended = howItEnds(peer);
    connection.sendReset();
    expect(await ended).toBe("ECONNRESET");
  });

  it("the host's RST is RST for the guest, behind what came before", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, family);
    peer.write("last words");
    await connection.untilReceived(10);
    peer.resetAndDestroy();
    const reset = await world.guest.until(() => connection.reset, "RST");
    expect(reset.seq).toBe(connection.rcvNxt);
    expect(reset.flags & TcpFlag.fin).toBe(0);
    expect(connection.finReceived).toBe(false);
    expect(world.slirp.sockets()).toEqual([]);
  });

  it("the host's RST after its FIN is RST for the guest", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, family);
    peer.end();
    await world.guest.until(() => connection.finReceived, "the host's FIN");
    peer.resetAndDestroy();
    // Node does not look at a stream that is only written to; what the guest sends finds out.
    const sending = setInterval(() => {
      if (!connection.reset) connection.sendNow(Buffer.from("anyone?"));
    }, 20);
    await world.guest
      .until(() => connection.reset, "RST")
      .finally(() => {
        clearInterval(sending);
      });
  });
}

function describeRefusal(family: IpFamily): void {
  it("nobody listens: RST that acknowledges the SYN, at once", async () => {
    const world = await openWorld();
    const { port } = await world.peers.closedTcpEndpoint(LOOPBACK[family]);
    const connection = world.guest.connect(GATEWAY[family], port);
    const reset = await world.guest.until(() => connection.reset, "RST");
    // raw-connection checks seq 0 and ack = SYN + 1 (RFC 9293 3.5.2).
    expect(reset.flags).toBe(TcpFlag.rst | TcpFlag.ack);
    expect(connection.acknowledgements).toEqual([]);
    expect(world.guest.framesReceived, "no SYN was answered first").toBeLessThanOrEqual(4);
    expect(world.slirp.sockets()).toEqual([]);
  });

  it("refused at the call: the same", async () => {
    const world = await openWorld();
    world.network.refuseConnect = () => -Errno.ECONNREFUSED;
    const connection = world.guest.connect(GATEWAY[family], 9);
    const reset = await world.guest.until(() => connection.reset, "RST");
    expect(reset.flags).toBe(TcpFlag.rst | TcpFlag.ack);
  });
}

/** ICMP codes for destination unreachable (RFC 792, RFC 4443 3.1). */
const UNREACHABLE_CODES = {
  4: { EHOSTUNREACH: 1, ENETUNREACH: 0, ETIMEDOUT: 1 },
  6: { EHOSTUNREACH: 3, ENETUNREACH: 0, ETIMEDOUT: 3 },
} as const;

async function unreachableAbout(
  world: World,
  connection: RawConnection,
): Promise<{ code: number; quoted: QuotedPacket; source: Uint8Array }> {
  const { family } = connection.local;
  const message = await world.guest.until(
    () => world.guest.icmp.find(({ type }) => type === IcmpType.unreachable[family]),
    "destination unreachable",
  );
  return { code: message.code, quoted: quotedPacket(message), source: message.source };
}

function describeUnreachable(family: IpFamily): void {
  for (const name of ["EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"] as const) {
    for (const how of ["at the call", "later"] as const) {
      it(`${name} ${how}: an ICMP error that quotes the guest's SYN`, async () => {
        const world = await openWorld();
        if (how === "later") world.network.failConnect = () => Errno[name];
        else world.network.refuseConnect = () => -Errno[name];
        const remote = family === 4 ? "192.0.2.7" : "2001:db8::7";
        const connection = world.guest.connect(remote, 4321);
        const { code, quoted } = await unreachableAbout(world, connection);
        expect(code).toBe(UNREACHABLE_CODES[family][name]);
        expect(quoted).toMatchObject({
          family,
          protocol: Protocol.tcp,
          source: world.guest.addresses[family].address,
          destination: remote,
          sourcePort: connection.local.port,
          destinationPort: 4321,
        });
        const view = new DataView(quoted.transport.slice().buffer);
        expect(view.getUint32(4), "sequence number of the SYN").toBe(connection.sndUna);
        expect(quoted.transport[13]).toBe(TcpFlag.syn);
        expect(connection.reset).toBeUndefined();
        expect(world.slirp.sockets()).toEqual([]);
      });
    }
  }
}

for (const family of [4, 6] as const) {
  describe(`TCP over IPv${String(family)}`, () => {
    describe("half-close", () => {
      describeHalfClose(family);
    });
    describe("reset", () => {
      describeReset(family);
    });
    describe("a connection that cannot be", () => {
      describeRefusal(family);
      describeUnreachable(family);
    });
  });
}

describe("a host without sockets", () => {
  for (const name of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"] as const) {
    it(`${name} for a while is survived; later connections work`, async () => {
      const world = await openWorld();
      world.network.refuseConnect = () => -Errno[name];
      world.network.refuseDatagram = () => -Errno[name];
      const refused = [1, 2, 3].map((port) => world.guest.connect(GATEWAY[4], port));
      world.guest.sendDatagram(1000, GATEWAY[4], 9, Buffer.from("nobody gets this"));
      await world.guest.until(() => world.network.calls.of("openDatagram") > 0, "the refusals");
      await world.guest.until(
        () => refused.every((connection) => connection.reset) || world.guest.icmp.length >= 4,
        "the guest to be told",
      );
      world.network.refuseConnect = world.network.refuseDatagram = undefined;
      const { connection, peer } = await openConnection(world, 4);
      await connection.send(Buffer.from("hello"));
      expect((await readBytes(peer, 5)).toString()).toBe("hello");
      const { socket, endpoint } = await world.peers.udpSocket();
      socket.on("message", (bytes, { port }) => socket.send(bytes, port, "127.0.0.1"));
      world.guest.sendDatagram(1000, GATEWAY[4], endpoint.port, Buffer.from("echo"));
      expect((await world.guest.nextDatagram(1000)).payload.toString()).toBe("echo");
    });
  }
});
