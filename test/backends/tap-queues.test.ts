/**
 * TAPs with several queues.
 */
import { execFileSync } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { loadTapAddon } from "../../src/backends/tap-addon.js";
import { ErrorCode } from "../../src/errors.js";
import { openTap, openTapQueues, type TapBackend } from "../../src/tap.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";
import { numberedFrame } from "../support/frames.js";

const QUEUES = 4;

async function openQueues(world: TapWorld): Promise<{ queues: TapBackend[]; counts: number[] }> {
  const addresses = { addresses: ["10.0.5.1/24"] };
  const queues = await world.openQueues({ name: "tap0", queues: QUEUES, ...addresses });
  const counts = queues.map(() => 0);
  queues.forEach((queue, i) => {
    queue.callbacks = {
      onFrames: (batch) => {
        counts[i]! += batch.count;
      },
    };
    queue.enableReceive();
  });
  await world.namespace.ip("neighbour add 10.0.5.2 lladdr 52:54:00:12:34:56 dev tap0");
  return { queues, counts };
}

/** Datagrams of many flows out of the interface. */
async function sendFlows(world: TapWorld, flows = 60): Promise<void> {
  const script = `for port in $(seq 1 ${String(flows)}); do echo hello > /dev/udp/10.0.5.2/$port; done`;
  await world.namespace.run("bash", "-c", script);
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

describeTap("the queues of a TAP", (test) => {
  test("have a descriptor each and share the flows", async (world) => {
    const { queues, counts } = await openQueues(world);
    expect(new Set(queues.map(({ fd }) => fd)).size).toBe(QUEUES);
    expect(new Set(queues.map(({ interfaceName }) => interfaceName))).toEqual(new Set(["tap0"]));
    await sendFlows(world);
    await waitUntil("all are there", () => sum(counts) >= 60);
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(1);
  });

  test("are of one device also where the kernel chose its name", async (world) => {
    await world.open({ name: "tap0" });
    const queues = await world.openQueues({ queues: 3 });
    expect(queues.map(({ interfaceName }) => interfaceName)).toEqual(["tap1", "tap1", "tap1"]);
  });

  test("can be taken out and put back while frames come", async (world) => {
    const { queues, counts } = await openQueues(world);
    const [first, ...others] = queues as [TapBackend, ...TapBackend[]];
    for (const queue of others) queue.setQueueEnabled(false);
    await sendFlows(world);
    await waitUntil("all are there", () => counts[0]! >= 60);
    expect(counts.slice(1)).toEqual([0, 0, 0]);
    const [second] = others as [TapBackend];
    expect(second.send(numberedFrame(1))).toBe(SendStatus.dropped);
    expect(second.sendGathered([numberedFrame(1)])).toBe(SendStatus.dropped);
    expect(second.statistics().droppedFromGuest).toBe(2);
    second.setQueueEnabled(true);
    second.setQueueEnabled(true);
    first.setQueueEnabled(false);
    first.setQueueEnabled(false);
    await sendFlows(world);
    await waitUntil("all are there", () => counts[1]! >= 60);
    expect(second.send(numberedFrame(1))).toBe(SendStatus.taken);
    first.disableReceive();
    expect(first.peek()).toBe(0);
  });

  test("forget and count what was looked at when they are taken out", async (world) => {
    const { queues } = await openQueues(world);
    const [first, ...others] = queues as [TapBackend, ...TapBackend[]];
    for (const queue of others) queue.setQueueEnabled(false);
    first.disableReceive();
    await sendFlows(world, 1);
    await waitUntil("one waits", () => first.peek() > 0);
    const { droppedToGuest } = first.statistics();
    first.setQueueEnabled(false);
    expect(first.peek()).toBe(0);
    expect(first.statistics().droppedToGuest).toBe(droppedToGuest + 1);
  });

  test("may be taken out while there is no room to send: the NIC is told, and nothing breaks", async (world) => {
    await world.namespace.ip(`
      link add bridge0 type bridge mcast_snooping 0 forward_delay 0
      link set bridge0 up`);
    const options = { bridge: "bridge0", queues: 2, sendBufferBytes: 65_536 };
    const [queue] = (await world.openQueues({ name: "near0", ...options })) as [TapBackend];
    await world.open({ name: "far0", bridge: "bridge0" });
    const slow = "tbf rate 1mbit burst 16kb limit 10mb".split(" ");
    await world.namespace.run("tc", "qdisc", "replace", "dev", "far0", "root", ...slow);
    let writable = 0;
    const errors: Error[] = [];
    queue.callbacks = {
      onFrames: () => undefined,
      onWritable: () => writable++,
      onError: (error) => errors.push(error),
    };
    const fill = (): void => {
      let status: SendStatus = SendStatus.taken;
      for (let i = 0; i < 10_000 && status === SendStatus.taken; i++) {
        status = queue.send(numberedFrame(i, { length: 1000 }));
      }
      expect(status).toBe(SendStatus.mustWait);
    };
    fill();
    queue.setQueueEnabled(false);
    expect(writable, "not from within the call").toBe(0);
    await waitUntil("it is told", () => writable === 1);
    expect(queue.send(numberedFrame(1))).toBe(SendStatus.dropped);
    queue.setQueueEnabled(true);
    fill();
    await waitUntil("there is room", () => writable === 2);
    fill();
    await world.namespace.ip("link delete near0");
    await waitUntil("it is gone", () => errors.length === 1);
  });

  test("are chosen by an eBPF program that is given by its descriptor", async (world) => {
    const folder = mkdtempSync(join(tmpdir(), "steering-"));
    const program = join(folder, "steering-program");
    execFileSync("gcc", ["-o", program, "test/support/native/steering-program.c"]);
    const { queues, counts } = await openQueues(world);
    const addon = loadTapAddon();
    const [ours, theirs] = addon.makeSocketPair();
    const child = spawn(program, ["2"], { stdio: ["ignore", "ignore", "inherit", theirs] });
    const [status] = (await once(child, "exit")) as [number];
    expect(status, "the kernel takes the program").toBe(0);
    const programFd = addon.receiveDescriptor(ours);
    queues[0]?.device.setSteeringProgram(programFd);
    await sendFlows(world);
    await waitUntil("all are there", () => counts[2]! >= 60);
    expect(counts.filter((count) => count > 0)).toHaveLength(1);
    queues[0]?.device.setSteeringProgram(undefined);
    await sendFlows(world);
    await waitUntil("all are there", () => sum(counts) >= 120);
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(1);
    expect(() => queues[0]?.device.setSteeringProgram(0)).toThrow(/cannot steer/);
    for (const fd of [ours, theirs, programFd]) addon.closeDescriptor(fd);
    rmSync(folder, { recursive: true });
  });

  test("may come as descriptors, and then all have to be what is said", async (world) => {
    const { queues } = await openQueues(world);
    const fds = queues.map((queue) => queue.releaseDescriptor());
    const other = (await world.open({ name: "tap9" })).releaseDescriptor();
    const bare = (await world.open({ name: "tap8", vnetHeader: false })).releaseDescriptor();
    const open = (list: number[]) => openTapQueues({ fds: list });
    // A failure among them must not pass for success, and closes none.
    await expect(open([...fds, 0])).rejects.toMatchObject({
      code: ErrorCode.deviceFailed,
      message: expect.stringContaining("descriptor 0") as string,
    });
    await expect(open([...fds, other])).rejects.toMatchObject({ message: /attached to tap9/ });
    await expect(open([bare, other])).rejects.toMatchObject({
      code: ErrorCode.invalidConfiguration,
    });
    const again = await open(fds);
    expect(again.map(({ fd }) => fd)).toEqual(fds);
    await Promise.all(again.map((tap) => tap.close()));
    for (const fd of [other, bare]) closeSync(fd);
  });

  test("that cannot be: a single one is not taken out, and mixed devices are refused", async (world) => {
    const single = await world.open({ name: "tap0" });
    expect(() => {
      single.setQueueEnabled(false);
    }).toThrow(expect.objectContaining({ code: ErrorCode.unsupportedCapability }));
    expect(single.device.isEnabled).toBe(true);
    const several = openTapQueues({ name: "tap0", queues: 2, namespace: world.namespace.path });
    await expect(several).rejects.toMatchObject({ code: ErrorCode.deviceFailed });
  });

  test("work with any header each, whatever the device has", async (world) => {
    const { queues } = await openQueues(world);
    queues.forEach((queue, i) => {
      queue.disableReceive();
      queue.setCapabilities(0n, ([0, 10, 12, 0] as const)[i]!);
    });
    await sendFlows(world);
    const total = (): number => sum(queues.map((queue) => queue.peek()));
    await waitUntil("some have come", () => total() > 0);
    queues.forEach((queue, i) => {
      const target = new Uint8Array(2000);
      const header = [0, 10, 12, 0][i]!;
      for (let length = queue.receive(target); length > 0; length = queue.receive(target)) {
        expect(length).toBe(header + 14 + 20 + 8 + 6);
        expect([...target.subarray(header + 12, header + 14)]).toEqual([8, 0]);
        if (header === 12) expect(target[10]).toBe(1);
      }
    });
  });
});

describeTap("a descriptor twice in the event loop", (test) => {
  test("is refused, and the first goes on", async (world) => {
    const tap = await world.open({ name: "tap0", up: true });
    await expect(openTap({ fd: tap.fd })).rejects.toMatchObject({ code: ErrorCode.deviceFailed });
    expect(tap.send(numberedFrame(1))).toBe(SendStatus.taken);
  });
});
