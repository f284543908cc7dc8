/**
 * Segments as they come on a real network: many at once, late, twice, out of order, damaged, lost.
 */
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { readBytes } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { ManualClock, settleEvents } from "../support/manual-clock.js";
import { addSequence, TcpFlag, type Packet } from "../support/packet.js";
import type { RawConnection, RawConnectionOptions } from "../support/raw-connection.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";
import type { WatchedStream } from "../support/watched-sockets.js";

closeWorldsAfterEach();

interface Connected {
  readonly connection: RawConnection;
  readonly peer: Socket;
  readonly stream: WatchedStream;
}

async function openConnection(
  world: World,
  options: RawConnectionOptions = {},
): Promise<Connected> {
  const server = await world.peers.tcpServer(LOOPBACK[4]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await world.guest.connect(GATEWAY[4], port, options).opened();
  const peer = await server.connection();
  const stream = world.network.streams.at(-1);
  if (!stream) throw new Error("the stack has opened no stream");
  return { connection, peer, stream };
}

describe("segments of one turn", () => {
  it("go to the host in one write", async () => {
    const world = await openWorld();
    const { connection, peer, stream } = await openConnection(world);
    const data = testBytes(50_000);
    world.guest.together(() => {
      connection.sendNow(data, 500);
    });
    expect((await readBytes(peer, data.length)).equals(data)).toBe(true);
    expect(stream.sends).toBe(1);
  });

  it("of several connections go in one write each", async () => {
    const world = await openWorld();
    const all: Connected[] = [];
    for (let i = 0; i < 5; i++) all.push(await openConnection(world));
    world.guest.together(() => {
      for (let round = 0; round < 20; round++) {
        for (const { connection } of all) connection.sendNow(testBytes(300, round), 300);
      }
    });
    for (const { peer, stream } of all) {
      await readBytes(peer, 6000);
      expect(stream.sends).toBe(1);
    }
  });
});

describe("the end of a turn", () => {
  it("comes before the guest's acknowledgement, so that a question is sent first", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world);
    await settleEvents();
    const order: string[] = [];
    world.network.onEndTurn = () => order.push("end of the turn");
    world.guest.onPacket = ({ kind }) => order.push(kind);
    connection.sendNow(Buffer.from("?"));
    expect((await readBytes(peer, 1)).toString()).toBe("?");
    await world.guest.until(() => order.includes("tcp"), "the acknowledgement");
    expect(order.slice(0, 2)).toEqual(["end of the turn", "tcp"]);
  });
});

describe("acknowledgements", () => {
  /** A world whose clock stands still: what comes without its help comes at once. */
  async function openStill(): Promise<Connected & { world: World; clock: ManualClock }> {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    return { ...(await openConnection(world)), world, clock };
  }

  it("of two and more segments come at once", async () => {
    const { connection, world } = await openStill();
    for (let round = 0; round < 3; round++) {
      const { mssBytes } = connection;
      // Another window each time, which keeps libslirp off the path where it never delays.
      connection.window -= 100;
      world.guest.together(() => {
        connection.sendNow(testBytes(2 * mssBytes), mssBytes);
      });
      await settleEvents();
      expect(connection.isAcknowledged).toBe(true);
    }
  });

  it("of a single one come within a few milliseconds", async () => {
    const { connection, clock } = await openStill();
    for (let round = 0; round < 3; round++) {
      connection.window -= 100;
      connection.sendNow(testBytes(10));
      await settleEvents();
      await clock.advance(5);
      expect(connection.isAcknowledged).toBe(true);
    }
  });

  it("of a segment that is answered come before or with the answer", async () => {
    const { connection, peer, world } = await openStill();
    peer.on("data", (data) => peer.write(data)).resume();
    connection.window -= 100;
    connection.sendNow(Buffer.from("echo"));
    await connection.untilReceived(4);
    expect(connection.isAcknowledged).toBe(true);
    expect(world.guest.faults).toEqual([]);
  });

  it("come with the answer, once answers have been prompt, and at once after one that was not", async () => {
    const { connection, peer, clock } = await openStill();
    let answers = 0;
    let isAnswering = true;
    peer.on("data", (data) => isAnswering && peer.write(data)).resume();
    const ask = async (): Promise<void> => {
      connection.sendNow(Buffer.from("?"));
      await connection.untilReceived(++answers);
    };
    for (let round = 0; round < 4; round++) await ask();
    await settleEvents();
    // Those without data.
    const before = connection.acknowledgements.length;
    expect(before).toBeGreaterThanOrEqual(4);
    for (let round = 0; round < 10; round++) await ask();
    expect(connection.acknowledgements.length).toBe(before);
    expect(connection.isAcknowledged).toBe(true);

    isAnswering = false;
    connection.sendNow(Buffer.from("?"));
    await settleEvents();
    expect(connection.isAcknowledged).toBe(false);
    await clock.advance(5);
    expect(connection.isAcknowledged).toBe(true);
    connection.sendNow(Buffer.from("?"));
    await settleEvents();
    expect(connection.isAcknowledged).toBe(true);
  });

  it("that wait for an answer come at once with the next segment", async () => {
    const { connection, peer } = await openStill();
    const echo = (data: Buffer): void => void peer.write(data);
    peer.on("data", echo).resume();
    for (let round = 1; round <= 5; round++) {
      connection.sendNow(Buffer.from("?"));
      await connection.untilReceived(round);
    }
    peer.off("data", echo);
    connection.sendNow(Buffer.from("a"));
    await settleEvents();
    expect(connection.isAcknowledged).toBe(false);
    connection.sendNow(Buffer.from("b"));
    await settleEvents();
    expect(connection.isAcknowledged).toBe(true);
  });
});

describe("the guest's segments", () => {
  it("are put in order, and taken once", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world);
    const data = testBytes(30_000, 9);
    const start = connection.sndNxt;
    connection.sndNxt = addSequence(start, data.length);
    const send = (from: number, to: number): void => {
      connection.segment({ seq: addSequence(start, from), payload: data.subarray(from, to) });
    };
    world.guest.together(() => {
      // Backwards, overlapping their neighbours, every other one twice.
      for (let from = data.length - 1000; from >= 0; from -= 1000) {
        const to = Math.min(from + 1300, data.length);
        send(from, to);
        if (from % 2000 === 0) send(from, to);
      }
    });
    expect((await readBytes(peer, data.length)).equals(data)).toBe(true);
    await world.guest.until(() => connection.isAcknowledged, "the acknowledgement");
    send(0, 1000);
    await connection.send(Buffer.from("!"));
    expect((await readBytes(peer, 1)).toString()).toBe("!");
  });

  it("with a wrong checksum are as if they had not come", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world);
    connection.segment({ payload: Buffer.from("damaged"), badChecksum: true });
    connection.segment({ flags: TcpFlag.rst | TcpFlag.ack, badChecksum: true });
    await connection.send(Buffer.from("intact!"));
    expect((await readBytes(peer, 7)).toString()).toBe("intact!");
  });

  it("outside the window do nothing but make the stack say where it is", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world);
    const before = connection.acknowledgements.length;
    const beyond = addSequence(connection.sndNxt, 1_000_000);
    connection.segment({ seq: beyond, payload: Buffer.from("too far") });
    connection.segment({
      seq: addSequence(connection.sndNxt, -9),
      payload: Buffer.from("long ago"),
    });
    await world.guest.until(() => connection.acknowledgements.length > before, "an answer");
    expect(connection.acknowledgements.at(-1)?.ack).toBe(connection.sndNxt);
    connection.segment({ seq: beyond, flags: TcpFlag.rst });
    await connection.send(Buffer.from("still here"));
    expect((await readBytes(peer, 10)).toString()).toBe("still here");
  });

  it("marked urgent go in line", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world);
    const flags = TcpFlag.ack | TcpFlag.psh;
    connection.segment({
      payload: Buffer.from("abc!"),
      flags: flags | TcpFlag.urg,
      urgentPointer: 4,
    });
    connection.sndNxt = addSequence(connection.sndNxt, 4);
    await connection.send(Buffer.from("def"));
    expect((await readBytes(peer, 7)).toString()).toBe("abc!def");
  });

  it("over the wrap of sequence numbers are a stream like any other", async () => {
    const world = await openWorld();
    const { connection, peer } = await openConnection(world, { initialSequence: 0xffff_fff0 });
    const data = testBytes(200_000, 4);
    const received = readBytes(peer, data.length);
    await connection.send(data);
    expect(sha256(await received)).toBe(sha256(data));
  });

  it("a SYN that comes twice opens one connection", async () => {
    const world = await openWorld();
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    const connection = world.guest.connect(GATEWAY[4], port);
    connection.syn();
    await connection.opened();
    connection.syn();
    const peer = await server.connection();
    await connection.send(Buffer.from("once"));
    expect((await readBytes(peer, 4)).toString()).toBe("once");
    expect(world.network.connects).toHaveLength(1);
  });
});

function isData(packet: Packet): boolean {
  return packet.kind === "tcp" && packet.payload.length > 0;
}

describe("lost segments of the stack", () => {
  it("are sent again when the guest's acknowledgements repeat themselves", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    const { connection, peer } = await openConnection(world, { acknowledge: "segment" });
    let seen = 0;
    world.guest.lose = (packet) => isData(packet) && ++seen === 3;
    const data = testBytes(30_000, 8);
    peer.write(data);
    // The clock stands still: no timer can have helped.
    await connection.untilReceived(data.length);
    expect(connection.receivedDigest()).toBe(sha256(data));
    expect(connection.outOfOrder).toBeGreaterThan(2);
  });

  it("are sent again when time has passed", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    const { connection, peer } = await openConnection(world);
    let losing = true;
    world.guest.lose = (packet) => losing && isData(packet);
    peer.write("anyone?");
    await settleEvents();
    await clock.advance(1000);
    losing = false;
    await clock.advance(30_000);
    expect(connection.take().toString()).toBe("anyone?");
  });

  it("one in five: all arrives, equal, FIN too", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    const { connection, peer } = await openConnection(world, { acknowledge: "segment" });
    let count = 0;
    world.guest.lose = (packet) => packet.kind === "tcp" && (++count * 7919) % 5 === 0;
    const data = testBytes(400_000, 6);
    peer.end(data);
    for (let round = 0; round < 2000 && !connection.finReceived; round++) await clock.advance(500);
    expect(connection.finReceived).toBe(true);
    expect(connection.receivedDigest()).toBe(sha256(data));
  });

  it("a guest that never answers again is given up, and the host is told by RST", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    const { connection, peer, stream } = await openConnection(world);
    world.guest.lose = () => true;
    const ended = new Promise((resolve) => peer.once("error", resolve));
    peer.resume();
    peer.write("hello?");
    await settleEvents();
    for (let minute = 0; minute < 30 && !stream.isReset; minute++) await clock.advance(60_000);
    expect(stream.isReset).toBe(true);
    expect(await ended).toMatchObject({ code: "ECONNRESET" });
    expect(connection.receivedBytes).toBe(0);
    expect(world.slirp.sockets()).toEqual([]);
  });
});

describe("a window of zero", () => {
  it("is probed, and what is waiting comes when a probe is answered with a window", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    const { connection, peer } = await openConnection(world, { window: 0 });
    peer.write("waiting");
    await settleEvents();
    await clock.advance(60_000);
    expect(connection.windowProbes).toBeGreaterThan(0);
    expect(connection.receivedBytes).toBe(0);
    // The window opens, but the guest's word of it is lost: only the next probe finds out.
    connection.window = 65_535;
    await clock.advance(120_000);
    expect(connection.take().toString()).toBe("waiting");
  });
});

describe("the largest segment", () => {
  for (const mssBytes of [536, 1000, 1460]) {
    it(`is no larger than the guest's ${String(mssBytes)} bytes`, async () => {
      const world = await openWorld();
      const { connection, peer } = await openConnection(world, { mssBytes });
      peer.write(testBytes(100_000));
      await connection.untilReceived(100_000);
      expect(connection.largestPayloadBytes).toBeLessThanOrEqual(mssBytes);
      expect(connection.largestPayloadBytes).toBeGreaterThan(mssBytes - 60);
    });
  }

  it("fits into the MTU that the stack was given", async () => {
    const slirp = { mtuBytes: 9000, mruBytes: 9000 };
    const world = await openWorld({ slirp, guest: { mtuBytes: 9000 } });
    const { connection, peer } = await openConnection(world);
    const data = testBytes(500_000);
    peer.write(data);
    await connection.untilReceived(data.length);
    // Anything over the MTU is a fault of the frame.
    expect(connection.largestPayloadBytes).toBeGreaterThan(8000);
    const received = readBytes(peer, data.length);
    await connection.send(data);
    expect(sha256(await received)).toBe(sha256(data));
  });
});
