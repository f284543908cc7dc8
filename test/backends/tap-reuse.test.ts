/**
 * A device that somebody used before: nothing of what that one told it is left.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { loadTapAddon, TunRequest } from "../../src/backends/tap-addon.js";
import { openTapQueues, type TapBackend } from "../../src/tap.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";

const addon = loadTapAddon();

function ask(tap: TapBackend, request: TunRequest): number {
  return addon.control(tap.fd, request, 0);
}

/** Leaves the device with big-endian headers, as far as the kernel can: some are built without. */
function leaveBigEndian(tap: TapBackend): void {
  try {
    tap.device.setByteOrder("big");
  } catch (error) {
    expect(error).toMatchObject({ message: /no big-endian headers/ });
    addon.control(tap.fd, TunRequest.setLittleEndian, 0);
  }
  expect(ask(tap, TunRequest.getLittleEndian)).toBe(0);
}

function expectLittleEndian(tap: TapBackend): void {
  expect(tap.device.isBigEndian).toBe(false);
  expect(ask(tap, TunRequest.getLittleEndian), "whatever the machine's own order").toBe(1);
  try {
    expect(ask(tap, TunRequest.getBigEndian)).toBe(0);
  } catch (error) {
    expect(error).toMatchObject({ code: "EINVAL" });
  }
}

/** Whether the cable is in, as the kernel sees it. */
async function hasCarrier({ namespace }: TapWorld): Promise<boolean> {
  return (await namespace.run("ip", "link", "show", "tap0")).includes("LOWER_UP");
}

/** Loads a program that picks the third queue for every frame, and hands its descriptor to `use`. */
async function withSteeringProgram(use: (programFd: number) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "steering-"));
  const program = join(folder, "steering-program");
  execFileSync("gcc", ["-o", program, "test/support/native/steering-program.c"]);
  const [ours, theirs] = addon.makeSocketPair();
  const child = spawn(program, ["2"], { stdio: ["ignore", "ignore", "inherit", theirs] });
  const [status] = (await once(child, "exit")) as [number];
  expect(status, "the kernel takes the program").toBe(0);
  const programFd = addon.receiveDescriptor(ours);
  try {
    await use(programFd);
  } finally {
    for (const fd of [ours, theirs, programFd]) addon.closeDescriptor(fd);
    rmSync(folder, { recursive: true });
  }
}

/** Frames of 40 flows; answers how many came on each queue. */
async function countPerQueue(world: TapWorld, queues: readonly TapBackend[]): Promise<number[]> {
  const counts = queues.map(() => 0);
  queues.forEach((queue, i) => {
    queue.callbacks = {
      onFrames: (batch) => {
        counts[i]! += batch.count;
      },
    };
    queue.enableReceive();
  });
  const script = "for port in $(seq 2000 2039); do echo x > /dev/udp/10.0.5.2/$port; done";
  await world.namespace.run("bash", "-c", script);
  await waitUntil("all are there", () => counts.reduce((sum, count) => sum + count, 0) >= 40);
  for (const queue of queues) queue.disableReceive();
  return counts;
}

describeTap("a device that was used before", (test) => {
  test("has little-endian headers, by its descriptor and by its name", async (world) => {
    const first = await world.open({ name: "tap0", persistent: true });
    leaveBigEndian(first);
    const second = await world.open({ fd: first.releaseDescriptor() });
    expectLittleEndian(second);
    leaveBigEndian(second);
    await second.close();
    expectLittleEndian(await world.open({ name: "tap0" }));
  });

  test("has its cable in, by its descriptor and by its name", async (world) => {
    const first = await world.open({ name: "tap0", persistent: true, up: true });
    first.device.setCarrier(false);
    expect(await hasCarrier(world)).toBe(false);
    const second = await world.open({ fd: first.releaseDescriptor() });
    expect(await hasCarrier(world)).toBe(true);
    second.device.setCarrier(false);
    await second.close();
    await world.open({ name: "tap0" });
    expect(await hasCarrier(world)).toBe(true);
  });

  test("is steered by the kernel, by its descriptors and by its name", async (world) => {
    await withSteeringProgram(async (programFd) => {
      const first = await world.openQueues({
        name: "tap0",
        queues: 4,
        persistent: true,
        addresses: ["10.0.5.1/24"],
      });
      await world.namespace.ip("neighbour add 10.0.5.2 lladdr 52:54:00:12:34:56 dev tap0");
      first[0]!.device.setSteeringProgram(programFd);
      expect(await countPerQueue(world, first)).toEqual([0, 0, 40, 0]);
      const second = await openTapQueues({ fds: first.map((tap) => tap.releaseDescriptor()) });
      const isSpread = (counts: readonly number[]): boolean =>
        counts.filter((count) => count > 0).length > 1;
      expect(await countPerQueue(world, second)).toSatisfy(isSpread);
      second[0]!.device.setSteeringProgram(programFd);
      expect(await countPerQueue(world, second)).toEqual([0, 0, 40, 0]);
      await Promise.all(second.map((tap) => tap.close()));
      const third = await world.openQueues({ name: "tap0", queues: 4 });
      await world.namespace.ip("neighbour replace 10.0.5.2 lladdr 52:54:00:12:34:56 dev tap0");
      expect(await countPerQueue(world, third)).toSatisfy(isSpread);
    });
  });
});
