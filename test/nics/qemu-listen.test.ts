/**
 * The server for QEMU's streams, over real sockets on loopback and in a temporary folder.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { ErrorCode } from "../../src/errors.js";
import { OwnBackends, SharedBackend, type BackendSource } from "../../src/nics/guest-backends.js";
import { listenQemu, type QemuServer } from "../../src/nics/qemu-listen.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { FakeQemu } from "../support/fake-qemu.js";
import { batchOf, frameIndex, framesOf, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { eventually, range, settle } from "../net-backend-contract/harness.js";
import { RecordingLog } from "../support/recording-log.js";

const LOOPBACK = { host: "127.0.0.1", port: 0 } as const;
const MAC_A = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0xa);
const MAC_B = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0xb);

/** A network on the far side of a backend that was opened for a guest. */
interface Network {
  readonly near: PairEnd;
  readonly far: PairEnd;
  readonly fromGuest: (number | undefined)[];
}

let folder: string;
let networks: Network[];
let log: RecordingLog;
const cleanUp: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "qemu-nic-"));
  networks = [];
  log = new RecordingLog();
});

afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  await rm(folder, { recursive: true });
});

function openNetwork(limits?: { maxFrames?: number; maxBytes?: number }): Network {
  const { near, far } = createBackendPair(limits);
  const network: Network = { near, far, fromGuest: [] };
  far.callbacks = {
    onFrames: (batch) => {
      network.fromGuest.push(...framesOf(batch).map((frame) => frameIndex(frame)));
    },
  };
  far.enableReceive();
  networks.push(network);
  return network;
}

function ownBackends(): OwnBackends {
  return new OwnBackends(() => Promise.resolve(openNetwork().near));
}

async function listen(
  backends: BackendSource,
  options: Partial<Parameters<typeof listenQemu>[0]> = LOOPBACK,
): Promise<QemuServer> {
  const server = await listenQemu({ ...LOOPBACK, log, ...options, backends });
  cleanUp.push(
    () => backends.close(),
    () => server.close(),
  );
  return server;
}

async function connectTo(server: QemuServer): Promise<FakeQemu> {
  const qemu = await FakeQemu.connect(server.address);
  cleanUp.push(() => {
    qemu.close();
  });
  return qemu;
}

describe.each(["tcp", "unix"])("listenQemu on %s", (kind) => {
  it("brings frames both ways", async () => {
    const address = kind === "unix" ? { path: join(folder, "net") } : LOOPBACK;
    const server = await listen(ownBackends(), address);
    const qemu = await connectTo(server);
    qemu.send(...range(0, 50).map((index) => numberedFrame(index, { length: 60 + 20 * index })));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual(range(0, 50));
    });
    const frames = range(0, 300).map((index) => numberedFrame(index, { length: 60 + index }));
    networks[0]?.far.sendBatch(batchOf(frames));
    await eventually(() => {
      expect(qemu.indices).toEqual(range(0, 300));
    });
    expect(server.guestCount).toBe(1);
  });
});

describe("listenQemu", () => {
  it("tells the port that it got", async () => {
    const server = await listen(ownBackends());
    expect(server.address).toEqual({ host: "127.0.0.1", port: expect.any(Number) as number });
    expect(server.address).not.toHaveProperty("port", 0);
  });

  it("rejects with the system's error where the address is taken", async () => {
    const taken = await listen(ownBackends());
    await expect(listenQemu({ ...taken.address, backends: ownBackends() })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    const path = join(folder, "net");
    await listen(ownBackends(), { path });
    await expect(listenQemu({ path, backends: ownBackends() })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
  });

  it("takes the place of a unix socket whose owner died, and removes its own", async () => {
    const path = join(folder, "net");
    const dead = createServer().listen(path);
    await new Promise((resolve) => dead.once("listening", resolve));
    // Closing would remove the file; a process that is killed leaves it.
    const { rename } = await import("node:fs/promises");
    await rename(path, `${path}.kept`);
    await new Promise((resolve) => dead.close(resolve));
    await rename(`${path}.kept`, path);
    const server = await listen(ownBackends(), { path });
    expect((await connectTo(server)).isClosed).toBe(false);
    await server.close();
    expect(existsSync(path)).toBe(false);
  });

  it.each([
    ["a length of 0", [0, 0, 0, 0]],
    ["a length beyond the bound", [0x7f, 0xff, 0xff, 0xff]],
  ])("ends a connection that sends %s, and others go on", async (_what, bytes) => {
    const server = await listen(ownBackends());
    const good = await connectTo(server);
    const bad = await connectTo(server);
    good.send(numberedFrame(1, { source: MAC_A }));
    bad.send(numberedFrame(2, { source: MAC_B }));
    bad.sendRaw(...bytes);
    await eventually(() => {
      expect(bad.isClosed).toBe(true);
    });
    expect(log.errorCodes).toContain(ErrorCode.protocolViolation);
    good.send(numberedFrame(3, { source: MAC_A }));
    await eventually(() => {
      expect(networks.map(({ fromGuest }) => fromGuest)).toContainEqual([1, 3]);
    });
  });

  it("ends a stream that breaks off within a frame with an error in the log", async () => {
    const server = await listen(ownBackends());
    const qemu = await connectTo(server);
    qemu.sendRaw(0, 0, 0, 60, 1, 2, 3);
    qemu.socket.end();
    await eventually(() => {
      expect(log.errorCodes).toEqual([ErrorCode.protocolViolation]);
    });
  });

  it("counts frames that are none as dropped, and goes on", async () => {
    const server = await listen(ownBackends());
    const qemu = await connectTo(server);
    qemu.sendRaw(0, 0, 0, 2, 9, 9);
    qemu.send(numberedFrame(1));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
    expect(networks[0]?.near.statistics().droppedFromGuest).toBe(1);
  });

  it("turns away whom it has no backend for, and others go on", async () => {
    let count = 0;
    const backends = new OwnBackends(() => {
      count++;
      if (count > 1) return Promise.reject(new Error("port 2222 is taken"));
      return Promise.resolve(openNetwork().near);
    });
    const server = await listen(backends);
    const first = await connectTo(server);
    await eventually(() => {
      expect(server.guestCount).toBe(1);
    });
    const second = await connectTo(server);
    await eventually(() => {
      expect(second.isClosed).toBe(true);
    });
    first.send(numberedFrame(1));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
  });

  it("turns away more guests than it may have", async () => {
    const server = await listen(ownBackends(), { maxGuests: 1 });
    await connectTo(server);
    await eventually(() => {
      expect(server.guestCount).toBe(1);
    });
    const second = await connectTo(server);
    await eventually(() => {
      expect(second.isClosed).toBe(true);
    });
  });

  it("ends the connection of a guest whose backend ended, and gives the next one a fresh one", async () => {
    const server = await listen(ownBackends());
    const qemu = await connectTo(server);
    qemu.send(numberedFrame(1));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
    networks[0]?.near.notifyError(new Error("the stack failed"));
    await eventually(() => {
      expect(qemu.isClosed).toBe(true);
    });
    const next = await connectTo(server);
    next.send(numberedFrame(2));
    await eventually(() => {
      expect(networks[1]?.fromGuest).toEqual([2]);
    });
    expect(networks[0]?.near.isClosed).toBe(true);
  });

  it("closes by signal, by disposal and twice, with everything", async () => {
    const controller = new AbortController();
    const backends = ownBackends();
    const server = await listen(backends, { signal: controller.signal });
    const qemu = await connectTo(server);
    await eventually(() => {
      expect(server.guestCount).toBe(1);
    });
    controller.abort();
    await server.close();
    await server[Symbol.asyncDispose]();
    await eventually(() => {
      expect(qemu.isClosed).toBe(true);
    });
    expect(server.guestCount).toBe(0);
    expect(networks[0]?.near.isClosed, "backends are their source's").toBe(false);
    await backends.close();
    expect(networks[0]?.near.isClosed).toBe(true);
    await expect(
      listenQemu({ ...LOOPBACK, backends, signal: controller.signal }),
    ).rejects.toThrow();
  });
});

describe("a guest that comes back", () => {
  it("finds its own backend, though another guest came back first", async () => {
    const server = await listen(ownBackends());
    const first = await connectTo(server);
    first.send(numberedFrame(1, { source: MAC_A }));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
    const second = await connectTo(server);
    second.send(numberedFrame(2, { source: MAC_B }));
    await eventually(() => {
      expect(networks[1]?.fromGuest).toEqual([2]);
    });
    first.close();
    await eventually(() => {
      expect(server.guestCount).toBe(1);
    });
    second.close();
    await eventually(() => {
      expect(server.guestCount).toBe(0);
    });
    const secondAgain = await connectTo(server);
    secondAgain.send(numberedFrame(3, { source: MAC_B }));
    await eventually(() => {
      expect(networks[1]?.fromGuest).toEqual([2, 3]);
    });
    const firstAgain = await connectTo(server);
    firstAgain.send(numberedFrame(4, { source: MAC_A }));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1, 4]);
    });
    networks[0]?.far.send(numberedFrame(5, { source: NETWORK_MAC, destination: MAC_A }));
    await eventually(() => {
      expect(firstAgain.indices).toEqual([5]);
    });
    expect(secondAgain.indices).toEqual([]);
    expect(networks).toHaveLength(2);
  });

  it("is reached before it says anything", async () => {
    const server = await listen(ownBackends());
    const qemu = await connectTo(server);
    qemu.send(numberedFrame(1, { source: MAC_A }));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
    qemu.close();
    await eventually(() => {
      expect(server.guestCount).toBe(0);
    });
    const silent = await connectTo(server);
    networks[0]?.far.send(numberedFrame(2, { source: NETWORK_MAC, destination: MAC_A }));
    await eventually(() => {
      expect(silent.indices).toEqual([2]);
    });
  });

  it("as another makes room for itself: backends are never more than guests at once", async () => {
    const server = await listen(ownBackends());
    for (const [index, last] of [1, 2, 3].entries()) {
      const qemu = await connectTo(server);
      qemu.send(numberedFrame(index, { source: Uint8Array.of(2, 0, 0, 0, 0, last) }));
      await eventually(() => {
        expect(networks[index]?.fromGuest).toEqual([index]);
      });
      qemu.close();
      await eventually(() => {
        expect(server.guestCount).toBe(0);
      });
    }
    expect(networks.map(({ near }) => near.isClosed)).toEqual([true, true, false]);
  });

  it("gets what was prepared before the first came", async () => {
    const backends = ownBackends();
    const prepared = await backends.prepare();
    const server = await listen(backends);
    const qemu = await connectTo(server);
    qemu.send(numberedFrame(1, { source: MAC_A }));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
    expect(networks[0]?.near).toBe(prepared);
    expect(networks).toHaveLength(1);
  });

  it("that left while it was being identified leaves nothing behind", async () => {
    const backends = ownBackends();
    const known = await listen(backends);
    const first = await connectTo(known);
    first.send(numberedFrame(1, { source: MAC_A }));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([1]);
    });
    first.close();
    await eventually(() => {
      expect(known.guestCount).toBe(0);
    });
    let opened: () => void = () => undefined;
    const blocked = new Promise<void>((resolve) => (opened = resolve));
    const identify = backends.identify.bind(backends);
    backends.identify = async (backend, mac) => {
      await blocked;
      return identify(backend, mac);
    };
    const leaving = await connectTo(known);
    leaving.send(numberedFrame(2, { source: MAC_B }));
    await settle();
    leaving.close();
    await settle();
    opened();
    await eventually(() => {
      expect(known.guestCount).toBe(0);
    });
    const next = await connectTo(known);
    next.send(numberedFrame(3, { source: MAC_B }));
    await eventually(() => {
      expect(networks.at(-1)?.fromGuest).toEqual([3]);
    });
    expect(networks.filter(({ near }) => !near.isClosed)).toHaveLength(1);
  });
});

describe("guests on one backend", () => {
  it("share it and reach each other", async () => {
    const { near, far, fromGuest } = openNetwork();
    const server = await listen(new SharedBackend(near));
    const a = await connectTo(server);
    const b = await connectTo(server);
    await eventually(() => {
      expect(server.guestCount).toBe(2);
    });
    a.send(numberedFrame(1, { source: MAC_A }));
    b.send(numberedFrame(2, { source: MAC_B }));
    await eventually(() => {
      expect([...fromGuest].sort()).toEqual([1, 2]);
    });
    far.send(numberedFrame(3, { source: NETWORK_MAC, destination: MAC_A }));
    b.send(numberedFrame(4, { source: MAC_B, destination: MAC_A }));
    await eventually(() => {
      expect(a.indices).toEqual(expect.arrayContaining([3, 4]));
    });
    expect(b.indices).not.toContain(3);
    a.close();
    await eventually(() => {
      expect(server.guestCount).toBe(1);
    });
    expect(near.isClosed).toBe(false);
  });
});

describe("backpressure", () => {
  it("towards a QEMU that stops reading: memory is bounded, and all that was kept arrives in order", async () => {
    const backends = new OwnBackends(() => Promise.resolve(openNetwork({ maxFrames: 64 }).near));
    const server = await listen(backends, { maxUnsentBytes: 64 * 1024 });
    const qemu = await connectTo(server);
    qemu.send(numberedFrame(0));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([0]);
    });
    qemu.socket.pause();
    const { far, near } = networks[0] as Network;
    let sent = 0;
    // Ends when the backend's queue stays full: the server has turned receiving off for good.
    for (let idle = 0; idle < 20;) {
      if (far.send(numberedFrame(sent, { length: 1514 })) === SendStatus.taken) {
        sent++;
        idle = 0;
      } else {
        idle++;
        await settle();
      }
      expect(sent, "what is taken for a QEMU that does not read must be bounded").toBeLessThan(
        20_000,
      );
    }
    expect(near.statistics().droppedToGuest).toBe(0);
    qemu.socket.resume();
    await eventually(() => {
      expect(qemu.received).toHaveLength(sent);
    });
    expect(qemu.indices).toEqual(range(0, sent));
  });

  it("of the backend pauses the socket, and no frame is lost", async () => {
    const backends = new OwnBackends(() => Promise.resolve(openNetwork({ maxFrames: 8 }).near));
    const server = await listen(backends);
    const qemu = await connectTo(server);
    qemu.send(numberedFrame(0));
    await eventually(() => {
      expect(networks[0]?.fromGuest).toEqual([0]);
    });
    const { far, fromGuest } = networks[0] as Network;
    far.disableReceive();
    const total = 10_000;
    for (let index = 1; index <= total; index += 100) {
      qemu.send(...range(index, index + 100).map((each) => numberedFrame(each, { length: 1514 })));
    }
    await settle();
    expect(qemu.socket.writableLength, "the kernel's buffers are full").toBeGreaterThan(0);
    far.enableReceive();
    await eventually(() => {
      expect(fromGuest).toHaveLength(total + 1);
    });
    expect(fromGuest).toEqual(range(0, total + 1));
  });
});
