/**
 * TAPs on vhost-net, on a kernel that has it: this machine's, or that of the guest in which test/system/tap-vhost.test.ts runs this file.
 */
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { expect } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { ErrorCode } from "../../src/errors.js";
import { BackendCable } from "../../src/nics/backend-cable.js";
import { createSlirp, parseHostForwards } from "../../src/node.js";
import { TapInstances, type TapBackend } from "../../src/tap.js";
import {
  emptyHeader,
  GsoType,
  HeaderFlag,
  VirtioNetFeature,
  writeHeader,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";
import {
  batchOf,
  frameIndex,
  framesOf,
  GUEST_MAC,
  NETWORK_MAC,
  numberedFrame,
} from "../support/frames.js";
import {
  fetchByKernel,
  serveByKernel,
  sumOfServed,
  transferByKernel,
} from "../support/kernel-transfer.js";
import { NetworkNamespace, whyNoVhost } from "../support/network-namespace.js";

const ENTRY = new URL("../../dist/tap.js", import.meta.url).href;
const MEGABYTES = 4;

const describeVhost: typeof describeTap = (name, register) => {
  describeTap(name, register, whyNoVhost());
};

const towardsGuest = (index: number, length = 60): Uint8Array =>
  numberedFrame(index, { source: NETWORK_MAC, destination: GUEST_MAC, length });

/** A TAP on vhost-net and one without, in a bridge of the kernel. */
async function openPair(world: TapWorld, options = {}): Promise<[TapBackend, TapBackend]> {
  await world.namespace.ip(`
    link add bridge0 type bridge mcast_snooping 0 forward_delay 0
    link set bridge0 up`);
  const near = await world.open({ name: "near0", bridge: "bridge0", vhost: true, ...options });
  const far = await world.open({ name: "far0", bridge: "bridge0", vhost: false });
  await world.namespace.ip("link set far0 txqueuelen 5000");
  return [near, far];
}

/** Numbers of the frames that come, in order. */
function numbersOf(tap: TapBackend, headerLength = 0): number[] {
  const numbers: number[] = [];
  tap.callbacks = {
    onFrames: (batch) => {
      for (const frame of framesOf(batch)) {
        numbers.push(frameIndex(frame.subarray(headerLength)) ?? NaN);
      }
    },
  };
  tap.enableReceive();
  return numbers;
}

const count = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** What a process holds of vhost-net: descriptors, mapped rings, threads of the kernel. */
function holdings(): { descriptors: number; rings: number; threads: number } {
  const names = readdirSync("/proc/self/fd").length;
  const rings = readFileSync("/proc/self/maps", "utf8").match(/ rw-s .*\/dev\/zero/g) ?? [];
  const threads = readdirSync("/proc").filter((name) => {
    try {
      return readFileSync(`/proc/${name}/comm`, "utf8").startsWith("vhost-");
    } catch {
      return false;
    }
  });
  return { descriptors: names, rings: rings.length, threads: threads.length };
}

describeVhost("the kernel's TCP by vhost-net", (test) => {
  test("goes both ways through a stack, and arrives as it was sent", async (world) => {
    const { namespace } = world;
    const tap = await world.open({
      name: "tap0",
      vhost: true,
      addresses: ["10.0.2.100/24"],
      gateways: ["10.0.2.2"],
    });
    const hostForwards = parseHostForwards("tcp:127.0.0.1:18080-10.0.2.100:80");
    await using slirp = await createSlirp({ slirp: { hostForwards } });
    const cable = new BackendCable(tap, slirp);
    const host = await serveByKernel({ host: "127.0.0.1", port: 18081, megabytes: MEGABYTES });
    const guest = await serveByKernel({
      namespace,
      host: "10.0.2.100",
      port: 80,
      megabytes: MEGABYTES,
    });
    try {
      const down = await fetchByKernel({ namespace, host: "10.0.2.2", port: 18081 });
      expect(down, "the kernel of the namespace fetched").toBe(sumOfServed(MEGABYTES));
      const up = await fetchByKernel({ host: "127.0.0.1", port: 18080 });
      expect(up, "and gave").toBe(sumOfServed(MEGABYTES));
    } finally {
      host.stop();
      guest.stop();
    }
    cable.close();
    const { framesToGuest, bytesToGuest, droppedFromGuest, droppedToGuest } = tap.statistics();
    expect({ droppedFromGuest, droppedToGuest }).toEqual({
      droppedFromGuest: 0,
      droppedToGuest: 0,
    });
    expect(bytesToGuest).toBeGreaterThan(MEGABYTES << 20);
    expect(bytesToGuest / framesToGuest, "long frames came whole").toBeGreaterThan(1514);
  });

  for (const queues of [1, 2]) {
    test(`goes from one namespace to another, with ${String(queues)} queues and all offloads`, async (world) => {
      await using elsewhere = await NetworkNamespace.create();
      const options = { vhost: true, queues };
      const here = await world.openQueues({ ...options, name: "tap0", addresses: ["10.0.5.1/24"] });
      const place = { namespace: elsewhere.path, addresses: ["10.0.5.2/24"] };
      const there = await world.openQueues({ ...options, ...place, name: "tap0" });
      const cables = here.map((tap, i) => new BackendCable(tap, there[i]!));
      for (const [server, client, host] of [
        [world.namespace, elsewhere, "10.0.5.1"],
        [elsewhere, world.namespace, "10.0.5.2"],
      ] as const) {
        const transfer = { server, client, host, port: 80, megabytes: MEGABYTES };
        expect(await transferByKernel(transfer)).toBe(sumOfServed(MEGABYTES));
      }
      for (const cable of cables) cable.close();
      const all = [...here, ...there].map((tap) => tap.statistics());
      const frames = all.reduce((sum, { framesToGuest }) => sum + framesToGuest, 0);
      const bytes = all.reduce((sum, { bytesToGuest }) => sum + bytesToGuest, 0);
      expect(bytes / frames, "super-frames went whole").toBeGreaterThan(1514);
      const kicks = [...here, ...there].reduce((sum, { vhost }) => sum + vhost.kicks, 0);
      expect(kicks, "system calls were fewer than frames").toBeLessThan(frames);
    });
  }
});

describeVhost("a batch by vhost-net", (test) => {
  test("costs one system call at most, and arrives whole and in order", async (world) => {
    const [near, far] = await openPair(world);
    const arrived = numbersOf(far);
    const frames = count(200).map((index) => numberedFrame(index));
    const before = near.vhost.kicks;
    expect(near.sendBatch(batchOf(frames))).toEqual({
      status: SendStatus.taken,
      consumed: 200,
      dropped: 0,
    });
    expect(near.vhost.kicks - before).toBeLessThanOrEqual(1);
    await waitUntil("all have arrived", () => arrived.length === 200);
    expect(arrived).toEqual(count(200));
  });

  test("that came costs one wake-up, not one for each frame", async (world) => {
    const [near, far] = await openPair(world);
    for (const index of count(200)) far.send(towardsGuest(index));
    await waitUntil("they wait", () => near.peek() > 0);
    const arrived = numbersOf(near);
    await waitUntil("all have come", () => arrived.length === 200);
    expect(arrived).toEqual(count(200));
    expect(near.vhost.calls).toBeLessThan(100);
  });

  test("that is longer than the ring is taken in parts, none lost or doubled", async (world) => {
    const [near, far] = await openPair(world);
    const arrived = numbersOf(far);
    let frames = count(3000).map((index) => numberedFrame(index, { length: 60 + (index % 1400) }));
    let writable: () => void = () => undefined;
    near.callbacks = { onFrames: () => undefined, onWritable: () => writable() };
    while (frames.length > 0) {
      const told = new Promise<void>((resolve) => (writable = resolve));
      const { status, consumed } = near.sendBatch(batchOf(frames));
      frames = frames.slice(consumed);
      if (status === SendStatus.mustWait) await told;
    }
    await waitUntil("all have arrived", () => arrived.length === 3000);
    expect(arrived).toEqual(count(3000));
  });

  test("is brought to the network though the backend is closed at once", async (world) => {
    const [near, far] = await openPair(world);
    const arrived = numbersOf(far);
    near.sendBatch(batchOf(count(200).map((index) => numberedFrame(index))));
    await near.close();
    await waitUntil("all have arrived", () => arrived.length === 200);
  });
});

describeVhost("frames by vhost-net", (test) => {
  for (const vnetHeader of [true, false]) {
    for (const headerLength of [0, 10, 12] as const) {
      test(`pass with a header of ${String(headerLength)}, ${vnetHeader ? "and" : "without"} one in the kernel`, async (world) => {
        const [near, far] = await openPair(world, { vnetHeader });
        near.setCapabilities(0n, headerLength);
        const [came, went] = [numbersOf(near, headerLength), numbersOf(far)];
        for (const index of count(10)) {
          far.send(towardsGuest(index, 1000));
          const frame = numberedFrame(index, { length: 1000 });
          near.sendGathered([
            new Uint8Array(headerLength),
            frame.subarray(0, 20),
            frame.subarray(20),
          ]);
        }
        await waitUntil("all are there", () => came.length + went.length === 20);
        expect([came, went]).toEqual([count(10), count(10)]);
        expect(near.device.probeHeaderLengths()).toEqual([vnetHeader ? 12 : 0]);
      });
    }
  }

  test("whose header the kernel would not take are dropped, and said to be", async (world) => {
    const tap = await world.openUp("tap0", { vhost: true });
    tap.setCapabilities(VirtioNetFeature.checksum | VirtioNetFeature.guestChecksum, 12);
    const frame = numberedFrame(1);
    const send = (header: Partial<VirtioNetHeader>): SendStatus => {
      const framed = new Uint8Array(12 + frame.length);
      framed.set(frame, 12);
      writeHeader(framed, 0, 12, { ...emptyHeader(), ...header });
      return tap.send(framed);
    };
    expect(send({})).toBe(SendStatus.taken);
    const flags = HeaderFlag.needsChecksum;
    expect(send({ flags, checksumStart: 40, checksumOffset: 18 })).toBe(SendStatus.taken);
    expect(send({ flags, checksumStart: 40, checksumOffset: 19 })).toBe(SendStatus.dropped);
    expect(send({ gsoType: GsoType.tcp4, segmentBytes: 0 })).toBe(SendStatus.dropped);
    expect(send({ gsoType: 2, segmentBytes: 100 })).toBe(SendStatus.dropped);
    expect(send({ headerBytes: 61 })).toBe(SendStatus.dropped);
    expect(tap.statistics()).toMatchObject({ framesFromGuest: 2, droppedFromGuest: 4 });
  });

  test("are dropped while a queue is out of the device, and go on when it is back", async (world) => {
    const [first, second] = await world.openQueues({
      name: "tap0",
      up: true,
      queues: 2,
      vhost: true,
    });
    expect(first!.device.kernelHeaderBytes).toBe(12);
    const before = second!.statistics().framesFromGuest;
    second!.setQueueEnabled(false);
    expect(second!.send(numberedFrame(1))).toBe(SendStatus.dropped);
    second!.setQueueEnabled(true);
    expect(second!.send(numberedFrame(2))).toBe(SendStatus.taken);
    expect(second!.statistics().framesFromGuest).toBe(before + 1);
  });
});

describeVhost("a backend on vhost-net", (test) => {
  test("gives everything back when it is closed, once or twice, while frames come", async (world) => {
    const before = holdings();
    for (const round of count(5)) {
      const name = `tap${String(round)}`;
      const tap = await world.openUp(name, { vhost: true, vhostBusyPollUs: round * 10 });
      expect(tap.vhost).toMatchObject({ isUsed: true, reason: undefined });
      const { rings, threads } = holdings();
      expect([rings, threads]).toEqual([before.rings + 1, before.threads + 1]);
      numbersOf(tap);
      tap.send(numberedFrame(1));
      await Promise.all([tap.close(), tap.close()]);
    }
    await waitUntil("the kernel's threads have ended", () => holdings().threads === before.threads);
    expect(holdings().descriptors).toBe(before.descriptors);
    expect(holdings().rings).toBe(before.rings);
  });

  test("of a worker that is terminated is closed, and others go on", async (world) => {
    const [near, far] = await openPair(world);
    const before = holdings();
    const script = `
      const { openTap } = await import(${JSON.stringify(ENTRY)});
      const { parentPort } = await import("node:worker_threads");
      const tap = await openTap({ name: "tap7", namespace: ${JSON.stringify(world.namespace.path)}, up: true, vhost: true });
      tap.callbacks = { onFrames() {} };
      tap.enableReceive();
      parentPort.postMessage(tap.vhost.isUsed);`;
    const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
    const worker = new Worker(url);
    expect(await new Promise((resolve) => worker.once("message", resolve))).toBe(true);
    await worker.terminate();
    await waitUntil(
      "its thread in the kernel has ended",
      () => holdings().threads === before.threads,
    );
    const arrived = numbersOf(far);
    near.send(numberedFrame(0));
    await waitUntil("the frame of another has arrived", () => arrived.length === 1);
  });

  test("whose interface is deleted says so once, and drops what it is given", async (world) => {
    const tap = await world.openUp("tap0", { vhost: true });
    const errors: Error[] = [];
    tap.callbacks = { onFrames: () => undefined, onError: (error) => errors.push(error) };
    tap.enableReceive();
    await world.namespace.ip("link delete tap0");
    await waitUntil("the error is told", () => errors.length > 0);
    expect(tap.send(numberedFrame(1))).toBe(SendStatus.dropped);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ code: ErrorCode.deviceFailed });
  });

  test("may have a descriptor that was opened elsewhere, which nobody else can have then", async (world) => {
    const vhostFd = openSync("/dev/vhost-net", "r+");
    const tap = await world.openUp("tap0", { vhostFd });
    expect(tap.vhost.isUsed).toBe(true);
    const again = world.open({ name: "tap1", vhostFd });
    await expect(again).rejects.toMatchObject({ cause: { code: "EBUSY" } });
    const before = holdings().descriptors;
    const fd = tap.releaseDescriptor();
    expect(holdings().descriptors, "rings, eventfds, the watch: all but the TAP").toBeLessThan(
      before - 4,
    );
    closeSync(fd);
    expect(() => {
      closeSync(vhostFd);
    }).toThrow(/EBADF/);
  });

  test("is what instances are by themselves, and their details say so", async (world) => {
    await using taps = new TapInstances();
    await taps.create({ namespace: world.namespace.path });
    expect(taps.list()[0]?.vhost).toMatchObject({ isUsed: true, reason: undefined });
  });
});
