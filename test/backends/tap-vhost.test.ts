/**
 * vhost-net where it is not to be had, and options that cannot be. What it does where it is there is tested in a guest that has it
 * (test/system/tap-vhost.test.ts).
 */
import { existsSync, openSync, closeSync, readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ErrorCode, type SlirpError } from "../../src/errors.js";
import { TapInstances, type OpenTapOptions } from "../../src/tap.js";
import { describeTap, type TapWorld } from "../support/describe-tap.js";

const NOT_THERE = "/dev/vhost-net-of-another-machine";

async function refusalOf(opening: Promise<unknown>): Promise<SlirpError> {
  return (await opening.then(
    () => Promise.reject(new Error("it was not refused")),
    (error: unknown) => error,
  )) as SlirpError;
}

const openFiles = (): number => readdirSync("/proc/self/fd").length;

function interfaces(world: TapWorld): string {
  return readFileSync(`/proc/${String(world.namespace.pid)}/net/dev`, "utf8");
}

describeTap("a TAP that must go by vhost-net", (test) => {
  test("is refused where the device file is not there: the error names it, and how to get it", async (world) => {
    const before = openFiles();
    const opening = world.open({ name: "tap0", vhost: true, vhostPath: NOT_THERE });
    const error = await refusalOf(opening);
    expect(error.code).toBe(ErrorCode.deviceFailed);
    expect(error.message).toContain(NOT_THERE);
    expect(error.message).toContain("modprobe vhost_net");
    expect(error.cause).toMatchObject({ code: "ENOENT", syscall: "open" });
    expect(openFiles()).toBe(before);
    expect(interfaces(world), "nothing of it stays").not.toContain("tap0");
  });

  test("is refused where the file is something else, and nothing stays open", async (world) => {
    const before = openFiles();
    const opening = world.openQueues({
      name: "tap0",
      queues: 2,
      vhost: true,
      vhostPath: "/dev/null",
    });
    const error = await refusalOf(opening);
    expect(error.code).toBe(ErrorCode.deviceFailed);
    expect(error.message).toContain("vhost-net");
    expect(error.cause).toMatchObject({ code: "ENOTTY", syscall: "VHOST_SET_OWNER" });
    expect(openFiles()).toBe(before);
    expect(interfaces(world)).not.toContain("tap0");
  });

  test("by a descriptor that is none of vhost-net's is refused; both descriptors stay the caller's", async (world) => {
    const tap = await world.open({ name: "tap0", vhost: false });
    const fd = tap.releaseDescriptor();
    const vhostFd = openSync("/dev/zero", "r+");
    try {
      const error = await refusalOf(world.open({ fd, vhostFd }));
      expect(error.cause).toMatchObject({ code: "ENOTTY" });
      const before = openFiles();
      closeSync(vhostFd);
      expect(openFiles()).toBe(before - 1);
      const again = await world.open({ fd, vhost: false });
      expect(again.interfaceName).toBe("tap0");
    } finally {
      if (existsSync(`/proc/self/fd/${vhostFd}`)) closeSync(vhostFd);
    }
  });
});

it("on a machine without vhost-net the usual device file is what is named", async (ctx) => {
  if (existsSync("/dev/vhost-net")) ctx.skip("this machine has /dev/vhost-net");
  const { openTap } = await import("../../src/tap.js");
  const { whyNoTap } = await import("../support/network-namespace.js");
  const why = whyNoTap();
  if (why !== undefined) ctx.skip(why);
  const { NetworkNamespace } = await import("../support/network-namespace.js");
  await using namespace = await NetworkNamespace.create();
  const error = await refusalOf(openTap({ namespace: namespace.path, vhost: true }));
  expect(error.message).toContain('"/dev/vhost-net"');
  expect(error.message).toContain("modprobe vhost_net");
});

describeTap("a TAP that may go by vhost-net", (test) => {
  for (const vhostPath of [NOT_THERE, "/dev/null"]) {
    test(`goes without where ${vhostPath} is none, and says why`, async (world) => {
      const options: OpenTapOptions = { name: "tap0", vhost: "auto", vhostPath, queues: 2 };
      const before = openFiles();
      const queues = await world.openQueues(options);
      for (const tap of queues) {
        expect(tap.vhost).toMatchObject({ isUsed: false, kicks: 0, calls: 0 });
        expect(tap.vhost.reason).toMatch(/vhost-net/);
        tap.setCapabilities(0n, 12);
      }
      for (const tap of queues) await tap.close();
      expect(openFiles()).toBe(before);
    });
  }

  test("is what instances are, and their details say how it went", async (world) => {
    await using taps = new TapInstances();
    const { namespace } = { namespace: world.namespace.path };
    await taps.create({ namespace, vhostPath: NOT_THERE });
    await taps.create({ namespace, vhost: false });
    const [wanted, off] = taps.list().map(({ vhost }) => vhost);
    expect(wanted).toMatchObject({ isUsed: false });
    expect(wanted?.reason).toContain(NOT_THERE);
    expect(off?.reason).toBe("the option vhost is off");
  });
});

describeTap("options for vhost-net", (test) => {
  const cases: [OpenTapOptions, string][] = [
    [{ vhost: "on" as "auto" }, '"on"'],
    [{ vhost: false, vhostFd: 3 }, "vhostFd"],
    [{ vhostPath: "/dev/vhost-net" }, "vhostPath"],
    [{ vhostBusyPollUs: 50 }, "vhostBusyPollUs"],
    [{ vhost: true, vhostBusyPollUs: -1 }, "vhostBusyPollUs"],
    [{ vhostFd: 3, vhostFds: [3] }, "vhostFd"],
    [{ vhostFds: [3, 3], fds: [4, 5] }, "twice"],
    [{ fd: 4, vhostFds: [3] }, "without fds"],
    [{ helper: "/x", vhostFds: [3] }, "without fds"],
    [{ name: "tap0", vhostFds: [3] }, "without fds"],
    [{ queues: 2, vhostFds: [3, 4] }, "without fds"],
    [{ fds: [4], vhostFd: 3 }, "give vhostFds"],
    [{ vhostFd: 3, queues: 2 }, "2 queues"],
    [{ vhostFds: [3], fds: [4, 5] }, "2 queues"],
    [{ vhostFd: 3, vhostPath: "/dev/vhost-net" }, "vhostPath"],
  ];
  for (const [options, place] of cases) {
    test(`that cannot be are refused: ${JSON.stringify(options)}`, async (world) => {
      const error = await refusalOf(world.openQueues(options));
      expect(error.code).toBe(ErrorCode.invalidConfiguration);
      expect(error.message).toContain(place);
    });
  }
});
