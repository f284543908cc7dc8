/**
 * Connections from JavaScript to ports of the guest: `slirp.connect`.
 */
import { describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import type { GuestConnectOptions, GuestSocket } from "../../src/slirp-backend.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { ManualClock } from "../support/manual-clock.js";
import { TcpFlag } from "../support/packet.js";
import type { RawConnection } from "../support/raw-connection.js";
import { closeWorldsAfterEach, openWorld, type World } from "../support/raw-world.js";
import { waitUntil } from "../support/wait-until.js";

closeWorldsAfterEach();

/** Connects, and waits for both ends. */
async function connectTo(
  world: World,
  options: GuestConnectOptions = { port: 80 },
  setUp?: (connection: RawConnection) => void,
): Promise<{ socket: GuestSocket; connection: RawConnection }> {
  let connection: RawConnection | undefined;
  world.guest.listen(options.port, (incoming) => {
    connection = incoming;
    setUp?.(incoming);
  });
  const socket = await world.slirp.connect(options);
  return { socket, connection: await world.guest.until(() => connection, "the guest's end") };
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const reader = stream.getReader();
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces);
    pieces.push(value);
  }
}

async function write(socket: GuestSocket, text: string): Promise<void> {
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode(text));
  writer.releaseLock();
}

async function whyFails(promise: Promise<unknown>): Promise<{ code?: string; message: string }> {
  return promise.then(
    () => {
      throw new Error("did not fail");
    },
    (reason: unknown) => reason as { code?: string; message: string },
  );
}

function openGuest(world: World): void {
  world.guest.arp();
  world.guest.announceIpv6();
}

describe("connect", () => {
  for (const [title, options] of [
    ["the first DHCP address", {}],
    ["an IPv4 address", { address: "10.0.2.15" }],
    ["an IPv6 address", { address: "fec0::15" }],
  ] as const) {
    it(`to ${title} gives a stream both ways, and takes no port and no place in forwards()`, async () => {
      const world = await openWorld();
      openGuest(world);
      const before = world.slirp.forwards();
      const { socket, connection } = await connectTo(world, { port: 80, ...options });
      expect(connection.remote.address).toBe(
        "address" in options && options.address.includes(":") ? "fec0::2" : "10.0.2.2",
      );
      await write(socket, "question");
      await connection.untilReceived(8);
      expect(connection.take().toString()).toBe("question");
      connection.sendNow(Buffer.from("answer"));
      connection.fin();
      expect((await readAll(socket.readable)).toString()).toBe("answer");
      expect(world.slirp.forwards()).toEqual(before);
      expect(world.slirp.sockets().filter(({ kind }) => kind === "listener")).toEqual([]);
      await socket.writable.close();
      expect(await socket.closed).toBeUndefined();
      await world.guest.until(() => connection.finReceived, "FIN");
    });
  }

  it("without IPv4 finds the guest that has shown its IPv6 address", async () => {
    const world = await openWorld({ slirp: { ipv4: false } });
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    expect(connection.local.address).toBe("fec0::15");
    await socket.close();
  });

  it("says who is connected, as the guest sees it", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    expect(await socket.opened).toEqual({
      remoteAddress: "10.0.2.15:80",
      localAddress: `10.0.2.2:${String(connection.remote.port)}`,
    });
    await socket.close();
  });

  it("many at once are kept apart, beside a forward to the same port", async () => {
    const world = await openWorld();
    openGuest(world);
    const incoming: RawConnection[] = [];
    world.guest.listen(80, (connection) => incoming.push(connection));
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-10.0.2.15:80");
    await world.peers.connect(host);
    const sockets = await Promise.all(
      Array.from({ length: 50 }, () => world.slirp.connect({ port: 80 })),
    );
    await world.guest.until(() => incoming.length === 51, "51 connections");
    const ports = new Set(incoming.map(({ remote }) => remote.port));
    expect(ports.size).toBe(51);
    await Promise.all(sockets.map((socket, i) => write(socket, String(i).padStart(2, "0"))));
    const texts: string[] = [];
    for (const socket of sockets) {
      const { localAddress } = await socket.opened;
      const port = Number(localAddress.split(":")[1]);
      const connection = incoming.find(({ remote }) => remote.port === port);
      await connection?.untilReceived(2);
      texts.push(connection?.take().toString() ?? "");
    }
    expect(texts).toEqual(sockets.map((_, i) => String(i).padStart(2, "0")));
    await Promise.all(sockets.map((socket) => socket.close()));
  });

  it("carries much, both ways at once", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    const up = testBytes(3_000_000, 1);
    const down = testBytes(2_500_000, 2);
    const writer = socket.writable.getWriter();
    const written = writer.write(up).then(() => writer.close());
    const sent = connection.send(down).then(() => {
      connection.fin();
    });
    expect(sha256(await readAll(socket.readable))).toBe(sha256(down));
    await Promise.all([written, sent, socket.closed]);
    await world.guest.until(() => connection.finReceived, "FIN");
    expect(connection.receivedDigest()).toBe(sha256(up));
  });

  it("half-closes: after the guest's FIN it can be written to", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    connection.fin();
    expect((await readAll(socket.readable)).length).toBe(0);
    await write(socket, "still here");
    await connection.untilReceived(10);
    await socket.writable.close();
    await world.guest.until(() => connection.finReceived, "FIN");
    await socket.closed;
  });

  it("works on a restricted stack, and while the host's loopback is off limits", async () => {
    const world = await openWorld({ slirp: { restricted: true, disableHostLoopback: true } });
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    await write(socket, "in");
    await connection.untilReceived(2);
    await socket.close();
  });
});

describe("backpressure of connect", () => {
  it("holds the guest back while nobody reads, and loses nothing", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    const down = testBytes(4_000_000, 3);
    let sent = false;
    const sending = connection.send(down).then(() => (sent = true));
    await world.guest.until(() => connection.peerWindow === 0, "a closed window");
    expect(sent).toBe(false);
    const received = readAll(socket.readable);
    await sending;
    connection.fin();
    expect(sha256(await received)).toBe(sha256(down));
    await socket.close();
  });

  it("makes a writer wait while the guest does not take it, with bounded memory", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world, { port: 80 }, (incoming) => {
      incoming.window = 0;
    });
    const writer = socket.writable.getWriter();
    const piece = testBytes(64 * 1024, 4);
    let accepted = 0;
    let waiting: Promise<void> = Promise.resolve();
    const all = (async () => {
      for (let i = 0; i < 64; i++) {
        waiting = writer.write(piece).then(() => void (accepted += piece.length));
        await waiting;
      }
      await writer.close();
    })();
    let before = -1;
    await waitUntil("the writer waits", () => {
      const stopped = accepted > 0 && accepted === before;
      before = accepted;
      return stopped;
    });
    expect(accepted).toBeLessThan(1024 * 1024);
    connection.acknowledgeNow(65_535);
    await all;
    await world.guest.until(() => connection.finReceived, "FIN");
    expect(connection.receivedBytes).toBe(64 * piece.length);
    await socket.close();
  });
});

describe("connect fails", () => {
  it("at once where the guest refuses", async () => {
    const world = await openWorld();
    openGuest(world);
    world.guest.listen(81, (connection) => {
      connection.synAck = () => {
        connection.segment({ seq: 0, flags: TcpFlag.rst | TcpFlag.ack });
      };
    });
    const reason = await whyFails(world.slirp.connect({ port: 81 }));
    expect(reason).toMatchObject({ code: ErrorCode.connectionRefused });
    expect(reason.message).toContain("10.0.2.15:81");
  });

  it("where no guest has shown its IPv6 address", async () => {
    const world = await openWorld({ slirp: { ipv4: false } });
    const reason = await whyFails(world.slirp.connect({ port: 81 }));
    expect(reason).toMatchObject({ code: ErrorCode.guestUnreachable });
  });

  it("after 75 s where nobody answers, and says that the guest may be down", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock } });
    openGuest(world);
    world.guest.listen(81, (connection) => {
      connection.synAck = () => undefined;
    });
    const connecting = whyFails(world.slirp.connect({ port: 81 }));
    await clock.advance(80_000);
    const reason = await connecting;
    expect(reason).toMatchObject({ code: ErrorCode.guestUnreachable });
    expect(reason.message).toContain("75 s");
    expect(world.slirp.sockets()).toEqual([]);
  });

  it("with the signal's reason, and forgets the guest's late answer", async () => {
    const world = await openWorld();
    openGuest(world);
    let late: RawConnection | undefined;
    world.guest.listen(81, (connection) => {
      late = connection;
      connection.synAck = () => undefined;
    });
    const controller = new AbortController();
    const connecting = world.slirp.connect({ port: 81, signal: controller.signal });
    const connection = await world.guest.until(() => late, "SYN");
    controller.abort(new Error("enough"));
    expect((await whyFails(connecting)).message).toBe("enough");
    Reflect.deleteProperty(connection, "synAck");
    connection.synAck();
    await world.guest.until(() => connection.reset, "RST");
    await expect(world.slirp.connect({ port: 81, signal: controller.signal })).rejects.toThrow(
      "enough",
    );
  });

  for (const [what, options] of [
    ["port 0", { port: 0 }],
    ["port 65536", { port: 65_536 }],
    ["half a port", { port: 80.5 }],
    ["a name", { port: 80, address: "guest.example" }],
    ["the gateway", { port: 80, address: "10.0.2.2" }],
    ["the name server", { port: 80, address: "fec0::3" }],
  ] as const) {
    it(`for ${what}`, async () => {
      const world = await openWorld();
      const reason = await whyFails(world.slirp.connect(options));
      expect(reason).toMatchObject({ code: ErrorCode.invalidConfiguration });
    });
  }

  it("when the stack is closed, before and meanwhile", async () => {
    const world = await openWorld();
    openGuest(world);
    world.guest.listen(81, (connection) => {
      connection.synAck = () => undefined;
    });
    const connecting = whyFails(world.slirp.connect({ port: 81 }));
    await world.guest.until(() => world.slirp.sockets().length > 0, "the connection");
    await world.slirp.close();
    expect(await connecting).toMatchObject({ code: ErrorCode.closed });
    expect(await whyFails(world.slirp.connect({ port: 81 }))).toMatchObject({
      code: ErrorCode.closed,
    });
  });
});

describe("a connection", () => {
  it("that the guest resets gives what came before, then the error", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    await connection.send(Buffer.from("last words"));
    connection.sendReset();
    expect(await whyFails(socket.closed)).toMatchObject({ code: ErrorCode.connectionReset });
    const reader = socket.readable.getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("last words");
    expect(await whyFails(reader.read())).toMatchObject({ code: ErrorCode.connectionReset });
    const writing = socket.writable.getWriter().write(new Uint8Array(1));
    expect(await whyFails(writing)).toMatchObject({ code: ErrorCode.connectionReset });
  });

  it("whose writable is aborted is reset", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    await socket.writable.abort(new Error("no more"));
    await world.guest.until(() => connection.reset, "RST");
    expect((await whyFails(socket.closed)).message).toBe("no more");
    expect((await whyFails(socket.readable.getReader().read())).message).toBe("no more");
  });

  it("is cut off by the signal that it was made with", async () => {
    const world = await openWorld();
    openGuest(world);
    const controller = new AbortController();
    const { socket, connection } = await connectTo(world, {
      port: 80,
      signal: controller.signal,
    });
    controller.abort(new Error("over"));
    await world.guest.until(() => connection.reset, "RST");
    expect((await whyFails(socket.closed)).message).toBe("over");
  });

  it("that is closed sends all that was written, then FIN, and resets a guest that goes on", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    const bytes = testBytes(500_000, 5);
    const writer = socket.writable.getWriter();
    const writing = writer.write(bytes);
    writer.releaseLock();
    await socket.close();
    await writing;
    await world.guest.until(() => connection.finReceived, "FIN");
    expect(connection.receivedDigest()).toBe(sha256(bytes));
    connection.sendNow(Buffer.from("and another thing"));
    await world.guest.until(() => connection.reset, "RST");
  });

  it("whose readable is cancelled can still be written to", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    await socket.readable.cancel();
    await connection.send(testBytes(500_000, 6));
    await write(socket, "heard enough");
    await connection.untilReceived(12);
    connection.fin();
    await socket.close();
  });

  it("ends with the stack", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket } = await connectTo(world);
    await world.slirp.close();
    expect(await whyFails(socket.closed)).toMatchObject({ code: ErrorCode.closed });
    expect(await whyFails(socket.readable.getReader().read())).toMatchObject({
      code: ErrorCode.closed,
    });
  });

  it("that is quiet has no timer", async () => {
    const clock = new ManualClock();
    const world = await openWorld({ network: { clock }, slirp: { ipv6: false } });
    openGuest(world);
    const { socket, connection } = await connectTo(world);
    await write(socket, "ping");
    await connection.untilReceived(4);
    await clock.advance(60_000);
    expect(world.network.timers()).toEqual([]);
  });

  it("leaves nothing behind when it has ended", async () => {
    const world = await openWorld();
    openGuest(world);
    for (let i = 0; i < 20; i++) {
      const { socket, connection } = await connectTo(world);
      connection.fin();
      await socket.close();
      await world.guest.until(() => connection.finReceived, "FIN");
      connection.acknowledgeNow();
    }
    await world.guest.until(() => world.slirp.sockets().length === 0, "all sockets to be closed");
  });

  it("takes nothing but bytes", async () => {
    const world = await openWorld();
    openGuest(world);
    const { socket } = await connectTo(world);
    const writer = socket.writable.getWriter() as unknown as WritableStreamDefaultWriter<string>;
    expect(await whyFails(writer.write("text"))).toBeInstanceOf(Error);
  });
});
