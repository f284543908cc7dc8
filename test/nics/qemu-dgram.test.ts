/**
 * The NIC on UDP, over real sockets on loopback.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { openQemuDatagram, type QemuDatagramNic } from "../../src/nics/qemu-dgram.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { batchOf, collectIndices, numberedFrame } from "../support/frames.js";
import { eventually, range, settle } from "../net-backend-contract/harness.js";

const ANY = { host: "127.0.0.1", port: 0 } as const;

let near: PairEnd;
let far: PairEnd;
let fromGuest: number[];
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  ({ near, far } = createBackendPair());
  fromGuest = collectIndices(far);
});

afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  await near.close();
  await far.close();
});

/** QEMU's end. */
class Peer {
  readonly received: Uint8Array[] = [];
  readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (frame) => this.received.push(Uint8Array.from(frame)));
  }

  static async open(): Promise<Peer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    cleanUp.push(() => socket.close());
    return new Peer(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(nic: QemuDatagramNic, frame: Uint8Array): void {
    this.socket.send(frame, nic.local.port, nic.local.host);
  }
}

async function open(
  options: Partial<Parameters<typeof openQemuDatagram>[0]> = {},
): Promise<QemuDatagramNic> {
  const nic = await openQemuDatagram({ local: ANY, backend: near, ...options });
  cleanUp.push(() => nic.close());
  return nic;
}

describe("openQemuDatagram", () => {
  it("brings frames both ways, one a datagram", async () => {
    const nic = await open();
    const peer = await Peer.open();
    peer.send(nic, numberedFrame(1, { length: 1514 }));
    await eventually(() => {
      expect(fromGuest).toEqual([1]);
    });
    const frames = range(0, 30).map((index) => numberedFrame(index, { length: 60 + 40 * index }));
    far.sendBatch(batchOf(frames));
    await eventually(() => {
      expect(peer.received).toEqual(frames);
    });
    expect(nic.remote).toEqual({ host: "127.0.0.1", port: peer.port });
  });

  it("goes on with a guest that comes back from another port", async () => {
    const nic = await open();
    const [before, after] = [await Peer.open(), await Peer.open()];
    before.send(nic, numberedFrame(1));
    await eventually(() => {
      expect(fromGuest).toEqual([1]);
    });
    after.send(nic, numberedFrame(2));
    await eventually(() => {
      expect(fromGuest).toEqual([1, 2]);
    });
    far.send(numberedFrame(3));
    await eventually(() => {
      expect(after.received).toHaveLength(1);
    });
    expect(before.received).toEqual([]);
  });

  it("hears nobody else where the remote end is given, and can speak first", async () => {
    const [guest, stranger] = [await Peer.open(), await Peer.open()];
    const nic = await open({ remote: { host: "127.0.0.1", port: guest.port } });
    stranger.send(nic, numberedFrame(1));
    await eventually(() => {
      expect(nic.statistics().ignored).toBe(1);
    });
    far.send(numberedFrame(2));
    await eventually(() => {
      expect(guest.received).toHaveLength(1);
    });
    expect(fromGuest).toEqual([]);
    expect(stranger.received).toEqual([]);
  });

  it("drops and counts what it can send to nobody", async () => {
    const nic = await open();
    far.sendBatch(batchOf([numberedFrame(1), numberedFrame(2)]));
    await eventually(() => {
      expect(nic.statistics().droppedToGuest).toBe(2);
    });
  });

  it("drops and counts what the backend has no room for", async () => {
    const small = createBackendPair({ maxFrames: 2 });
    cleanUp.push(
      () => small.near.close(),
      () => small.far.close(),
    );
    const nic = await open({ backend: small.near });
    const peer = await Peer.open();
    for (const index of range(0, 5)) peer.send(nic, numberedFrame(index));
    await eventually(() => {
      expect(nic.statistics().droppedFromGuest).toBe(3);
    });
  });

  it("refuses names and mixed IP versions before it binds anything", async () => {
    const code = ErrorCode.invalidConfiguration;
    await expect(open({ local: { host: "localhost", port: 0 } })).rejects.toMatchObject({ code });
    await expect(open({ remote: { host: "::1", port: 9 } })).rejects.toMatchObject({ code });
  });

  it("rejects with the system's error where the port is taken", async () => {
    const nic = await open();
    await expect(open({ local: nic.local })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  it("closes by signal and twice, lets go of the backend and leaves it open", async () => {
    const controller = new AbortController();
    const nic = await open({ signal: controller.signal });
    controller.abort();
    await nic.close();
    await nic[Symbol.asyncDispose]();
    far.send(numberedFrame(1));
    await settle();
    expect(near.isClosed).toBe(false);
    expect(near.peek()).toBe(60);
  });

  it("closes when the backend ends", async () => {
    const nic = await open();
    near.notifyError(new Error("the stack failed"));
    await expect(nic.close()).resolves.toBeUndefined();
    await expect(open({ local: nic.local })).resolves.toBeDefined();
  });
});
