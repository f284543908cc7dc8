/**
 * Forwards: host ports that lead to the guest, and addresses of the guest's network that lead to the host.
 */
import { describe, expect, it } from "vitest";
import { ipAddress, type HostEndpoint, type IpEndpoint } from "../../src/address.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";
import { howItEnds, readBytes, readToEnd } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import type { RawConnection } from "../support/raw-connection.js";
import { closeWorldsAfterEach, forward, openWorld, type World } from "../support/raw-world.js";

closeWorldsAfterEach();

function portOf(endpoint: HostEndpoint): number {
  return (endpoint as IpEndpoint).port;
}

/** A guest that answers with what it gets, and ends when the other side does. */
function echoInGuest({ guest }: World, port: number): RawConnection[] {
  const connections: RawConnection[] = [];
  guest.listen(port, (connection) => connections.push(connection));
  guest.onPacket = (packet) => {
    if (packet.kind !== "tcp") return;
    // After the connection itself has taken the packet.
    queueMicrotask(() => {
      for (const connection of connections) {
        const bytes = connection.take();
        if (bytes.length > 0) connection.sendNow(bytes);
      }
    });
  };
  return connections;
}

describe("a host forward", () => {
  for (const [host, guest] of [
    ["tcp:127.0.0.1:0", ":80"],
    ["tcp:127.0.0.1:0", "10.0.2.15:80"],
    ["tcp:[::1]:0", "10.0.2.15:80"],
    ["tcp:[::1]:0", "[fec0::15]:80"],
    ["tcp:127.0.0.1:0", "[fec0::15]:80"],
  ]) {
    it(`${String(host)}-${String(guest)} brings connections to the guest and bytes both ways`, async () => {
      const world = await openWorld();
      world.guest.arp();
      world.guest.announceIpv6();
      echoInGuest(world, 80);
      const added = await world.slirp.addForward(`${String(host)}-${String(guest)}`);
      expect(portOf(added.host), "the port that was found").toBeGreaterThan(0);
      const peers = await Promise.all([1, 2, 3].map(() => world.peers.connect(added.host)));
      for (const [i, peer] of peers.entries()) peer.write(`hello ${String(i)}`);
      for (const [i, peer] of peers.entries()) {
        expect((await readBytes(peer, 7)).toString()).toBe(`hello ${String(i)}`);
      }
    });
  }

  it("from a unix socket brings connections to the guest", async () => {
    const world = await openWorld();
    world.guest.arp();
    echoInGuest(world, 80);
    const path = world.peers.unixPath();
    const { host } = await world.slirp.addForward(`unix:${path}-10.0.2.15:80`);
    const peers = await Promise.all([1, 2].map(() => world.peers.connect(host)));
    for (const [i, peer] of peers.entries()) peer.write(`unix ${String(i)}`);
    for (const [i, peer] of peers.entries()) {
      expect((await readBytes(peer, 6)).toString()).toBe(`unix ${String(i)}`);
    }
  });

  it("carries much, both ways, and half-closes", async () => {
    const world = await openWorld();
    world.guest.arp();
    const incoming: RawConnection[] = [];
    world.guest.listen(80, (connection) => incoming.push(connection));
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-10.0.2.15:80");
    const peer = await world.peers.connect(host);
    const connection = await world.guest.until(() => incoming[0], "the connection");
    const up = testBytes(2_000_000, 1);
    const down = testBytes(1_500_000, 2);
    peer.end(up);
    await world.guest.until(() => connection.finReceived, "the host's FIN");
    expect(connection.receivedDigest()).toBe(sha256(up));
    const received = readToEnd(peer);
    await connection.send(down);
    connection.fin();
    expect(sha256(await received)).toBe(sha256(down));
  });

  it("that the guest refuses ends the host's connection", async () => {
    const world = await openWorld();
    world.guest.arp();
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-10.0.2.15:81");
    world.guest.listen(81, (connection) => {
      connection.synAck = () => {
        connection.segment({ seq: 0, flags: 4 | 16 });
      };
    });
    // It may see that before it has seen itself connected.
    const peer = world.peers.connecting(host);
    expect(["ECONNRESET", "FIN"]).toContain(await howItEnds(peer));
  });

  it("of UDP brings datagrams to the guest, and answers back", async () => {
    const world = await openWorld();
    world.guest.arp();
    const { host } = await world.slirp.addForward("udp:127.0.0.1:0-10.0.2.15:53");
    const { socket } = await world.peers.udpSocket();
    const answered = new Promise<string>((resolve) =>
      socket.once("message", (bytes, { port }) => {
        resolve(`${bytes.toString()} from ${String(port)}`);
      }),
    );
    socket.send("question", portOf(host), "127.0.0.1");
    const question = await world.guest.nextDatagram(53);
    expect(question.payload.toString()).toBe("question");
    world.guest.sendDatagram(53, question.from, question.fromPort, Buffer.from("answer"));
    expect(await answered).toBe(`answer from ${String(portOf(host))}`);
  });

  it("whose port is taken is refused with the rule and the reason", async () => {
    const world = await openWorld();
    const first = await world.slirp.addForward("tcp:127.0.0.1:0-:80");
    const rule = `tcp:127.0.0.1:${String(portOf(first.host))}-:81`;
    const error: unknown = await world.slirp.addForward(rule).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SlirpError);
    expect((error as SlirpError).code).toBe(ErrorCode.forwardFailed);
    expect((error as SlirpError).message).toContain(rule);
    expect((error as SlirpError).cause).toMatchObject({ code: "EADDRINUSE" });
    expect(world.slirp.forwards()).toEqual([first]);
  });

  it("whose port is taken is no stack at all, where it was an option", async () => {
    const world = await openWorld();
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-:80");
    const taken = forward(`tcp:127.0.0.1:${String(portOf(host))}-:81`);
    await expect(openWorld({ slirp: { hostForwards: [taken] } })).rejects.toMatchObject({
      code: ErrorCode.forwardFailed,
    });
  });

  it("that is removed gives its port back; its connections stay", async () => {
    const world = await openWorld();
    world.guest.arp();
    echoInGuest(world, 80);
    const added = await world.slirp.addForward("tcp:127.0.0.1:0-10.0.2.15:80");
    const peer = await world.peers.connect(added.host);
    peer.write("before");
    await readBytes(peer, 6);
    world.slirp.removeForward(added);
    expect(world.slirp.forwards()).toEqual([]);
    expect(await howItEnds(world.peers.connecting(added.host))).toBe("ECONNREFUSED");
    peer.write("after");
    expect((await readBytes(peer, 5)).toString()).toBe("after");
    const again = await world.slirp.addForward(added);
    expect(again.host).toEqual(added.host);
  });

  it("that is not there cannot be removed; the error says which are", async () => {
    const world = await openWorld();
    await world.slirp.addForward("tcp:127.0.0.1:0-:80");
    let error: unknown;
    try {
      world.slirp.removeForward("udp:127.0.0.1:1-:2");
    } catch (thrown) {
      error = thrown;
    }
    expect((error as SlirpError).code).toBe(ErrorCode.noSuchForward);
    expect((error as SlirpError).message).toContain("-:80");
  });

  it("works on a restricted stack", async () => {
    const world = await openWorld({ slirp: { restricted: true } });
    world.guest.arp();
    echoInGuest(world, 80);
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-10.0.2.15:80");
    const peer = await world.peers.connect(host);
    peer.write("let me in");
    expect((await readBytes(peer, 9)).toString()).toBe("let me in");
  });
});

describe("a guest forward", () => {
  const serverAddress = ipAddress("10.0.2.100");

  it("leads to a TCP server of the host", async () => {
    const world = await openWorld();
    const server = await world.peers.tcpServer();
    const target = { kind: "connect", endpoint: server.endpoint } as const;
    world.slirp.addGuestForward({ serverAddress, serverPort: 80, target });
    const connection = await world.guest.connect("10.0.2.100", 80).opened();
    const peer = await server.connection();
    await connection.send(Buffer.from("ask"));
    expect((await readBytes(peer, 3)).toString()).toBe("ask");
    peer.end("tell");
    await connection.untilReceived(4);
    expect(connection.take().toString()).toBe("tell");
  });

  it("leads to a unix socket of the host", async () => {
    const world = await openWorld();
    const server = await world.peers.unixServer();
    const target = { kind: "connect", endpoint: server.endpoint } as const;
    world.slirp.addGuestForward({ serverAddress, serverPort: 80, target });
    const connection = await world.guest.connect("10.0.2.100", 80).opened();
    const peer = await server.connection();
    await connection.send(Buffer.from("ask"));
    expect((await readBytes(peer, 3)).toString()).toBe("ask");
  });

  it("runs a command for each connection", async (context) => {
    const world = await openWorld();
    if (!world.network.openCommand) context.skip("this host network has no processes");
    const target = { kind: "command", commandLine: "tr a-z A-Z" } as const;
    world.slirp.addGuestForward({ serverAddress, serverPort: 80, target });
    const connection = await world.guest.connect("10.0.2.100", 80).opened();
    await connection.send(Buffer.from("shout"));
    connection.fin();
    await connection.untilReceived(5);
    expect(connection.take().toString()).toBe("SHOUT");
  });
});
