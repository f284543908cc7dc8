/**
 * How a TAP is come by, and what is said where it is not.
 */
import { closeSync, openSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadTapAddon, TunFlag } from "../../src/backends/tap-addon.js";
import { ErrorCode } from "../../src/errors.js";
import { openBackend } from "../../src/node.js";
import { openTap, openTapQueues, type OpenTapOptions } from "../../src/tap.js";
import { describeTap } from "../support/describe-tap.js";
import { listOpenFiles } from "../support/open-files.js";

const countTuns = (): number => listOpenFiles().filter((name) => name.includes("net/tun")).length;
const invalid = { code: ErrorCode.invalidConfiguration };
const failed = { code: ErrorCode.deviceFailed };

describeTap("opening a TAP", (test) => {
  test("by name gives that name", async (world) => {
    const tap = await world.open({ name: "blue0" });
    expect(tap.interfaceName).toBe("blue0");
    expect(tap.name).toBe("tap:blue0");
    expect(await world.namespace.run("ip", "-o", "link", "show", "blue0")).toContain("blue0");
  });

  test("by pattern gives the first free number", async (world) => {
    const taps = [await world.open(), await world.open(), await world.open({ name: "x%dy" })];
    expect(taps.map((tap) => tap.interfaceName)).toEqual(["tap0", "tap1", "x0y"]);
  });

  test("through the registry takes tap and vmnet names", async (world) => {
    for (const prefix of ["tap", "vmnet"]) {
      await using backend = await openBackend(`${prefix}:netns=${world.namespace.path}`);
      expect(backend.name).toBe(`tap:${prefix}0`);
    }
    await expect(openBackend("tapeworm")).rejects.toMatchObject(invalid);
  });

  test("by a descriptor takes it over, and closes it", async (world) => {
    const first = await world.open({ name: "tap7" });
    const fd = first.releaseDescriptor();
    const before = countTuns();
    const second = await openTap({ fd });
    expect(second.interfaceName).toBe("tap7");
    expect(second.fd).toBe(fd);
    await second.close();
    expect(countTuns()).toBe(before - 1);
  });

  test("of an interface that stayed attaches to it, unless it must be new", async (world) => {
    const first = await world.open({ name: "tap3", persistent: true });
    await first.close();
    const second = await world.open({ name: "tap3" });
    expect(second.interfaceName).toBe("tap3");
    await second.close();
    const exclusive = world.open({ name: "tap3", exclusive: true });
    await expect(exclusive).rejects.toMatchObject(failed);
    const last = await world.open({ name: "tap3", persistent: false });
    await last.close();
    expect(await world.namespace.run("ip", "-o", "link")).not.toContain("tap3");
  });

  test("that another has says so", async (world) => {
    await world.open({ name: "tap0" });
    const again = world.open({ name: "tap0" });
    await expect(again).rejects.toMatchObject({ ...failed, message: /"tap0".*EBUSY.*another/ });
  });

  test("gives its owner and group to the kernel", async (world) => {
    await world.open({ name: "tap0", owner: 1234, group: 4321 });
    const details = await world.namespace.run("ip", "-d", "link", "show", "tap0");
    expect(details).toContain("user 1234");
    expect(details).toContain("group 4321");
  });

  test("leaves the thread's own namespace as it was, also when it fails", async (world) => {
    const before = readlinkSync("/proc/thread-self/ns/net");
    await world.open({ name: "tap0" });
    await expect(world.open({ name: "tap0" })).rejects.toMatchObject(failed);
    await expect(openTap({ namespace: "/proc/self/ns/uts" })).rejects.toMatchObject(failed);
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(before);
  });

  test("a thousand times in vain leaves no descriptor behind", async (world) => {
    await world.open({ name: "tap0" });
    const before = listOpenFiles().length;
    const { path } = world.namespace;
    const attempts: OpenTapOptions[] = [
      { name: "tap0", namespace: path },
      { name: "tap9", namespace: path, bridge: "nowhere" },
      { name: "tap9", namespace: path, upScript: "/bin/false" },
      { fd: 0 },
      { namespace: path, devicePath: "/dev/null" },
    ];
    for (let round = 0; round < 200; round++) {
      for (const options of attempts.filter((_, i) => i !== 2 || round === 0)) {
        await expect(openTap(options)).rejects.toMatchObject(failed);
      }
    }
    expect(listOpenFiles().length).toBe(before);
  });

  test("can be called off", async (world) => {
    const reason = new Error("never mind");
    const opening = world.open({ signal: AbortSignal.abort(reason) });
    await expect(opening).rejects.toBe(reason);
  });
});

describe("opening a TAP refuses", () => {
  it.each([
    [{ name: "sixteen-bytes-xx" }, "16 bytes"],
    [{ name: "" }, "empty"],
    [{ name: "a/b" }, "character"],
    [{ name: "tap%s" }, "%d"],
    [{ fd: 3, name: "tap0" }, "option name"],
    [{ fd: 3, queues: 1 }, "option queues"],
    [{ fds: [3, 4], upScript: "/x" }, "option upScript"],
    [{ helper: "/x", addresses: ["10.0.0.1/8"] }, "option addresses"],
    [{ fds: [] }, "option fds"],
    [{ fds: [3, 3] }, "twice"],
    [{ fds: [3, 4] }, "openTapQueues"],
    [{ queues: 2 }, "openTapQueues"],
    [{ sendBufferBytes: 0 }, "option sendBufferBytes"],
    [{ mtuBytes: 67 }, "option mtuBytes"],
    [{ mtuBytes: 1279, addresses: ["fd00::1/64"] }, "1280"],
    [{ mac: "01:00:5e:00:00:01" }, "group"],
    [{ mac: "52:54:00:12:34" }, "six bytes"],
    [{ addresses: ["10.0.0.1"] }, "prefix"],
    [{ addresses: ["10.0.0.1/33"] }, "prefix"],
    [{ gateways: ["10.0.0.1", "10.0.0.2"] }, "two of IPv4"],
    [{ namespace: "pid:0x12" }, "process id"],
    [{ namespace: ".." }, "network namespace"],
    [{ fd: -1 }, "descriptor"],
  ] as [OpenTapOptions, string][])("%j, which cannot be meant", async (options, words) => {
    await expect(openTap(options)).rejects.toMatchObject({
      ...invalid,
      message: expect.stringContaining(words) as string,
    });
  });

  it("1025 descriptors", async () => {
    const fds = Array.from({ length: 1025 }, (_, i) => 3 + i);
    await expect(openTapQueues({ fds })).rejects.toMatchObject(invalid);
  });

  it("a descriptor that is no TAP, which stays open and the caller's", async () => {
    const fd = openSync("/dev/null", "r+");
    await expect(openTap({ fd })).rejects.toMatchObject({ ...failed, message: /no TUN device/ });
    closeSync(fd);
    await expect(openTap({ fd: 900 })).rejects.toMatchObject({ ...failed, message: /not open/ });
  });

  it("a namespace that is not there, and says how it is named", async () => {
    const opening = openTap({ namespace: "no-such-namespace" });
    await expect(opening).rejects.toMatchObject({ ...failed, message: /"no-such-namespace"/ });
  });
});

/** IFF_TUN. */
const TUN = 0x0001;

describeTap("a descriptor of /dev/net/tun", (test) => {
  for (const [what, flags, message] of [
    ["of a TUN device", TUN | TunFlag.noPacketInformation, /a TUN device.*no Ethernet headers/],
    ["with four bytes before each frame", TunFlag.tap, /4 bytes before each frame.*IFF_NO_PI/],
    ["without an interface", undefined, /EBADFD.*never attached/],
  ] as const) {
    test(`${what} is refused, and stays open and the caller's`, async (world) => {
      const addon = loadTapAddon();
      const namespace = openSync(world.namespace.path, "r");
      const fd = addon.openTun("/dev/net/tun", namespace);
      closeSync(namespace);
      if (flags !== undefined) addon.setInterface(fd, "odd0", flags);
      const before = listOpenFiles();
      await expect(openTap({ fd })).rejects.toMatchObject({ ...failed, message });
      await expect(openTapQueues({ fds: [fd] })).rejects.toMatchObject({ ...failed, message });
      expect(listOpenFiles()).toEqual(before);
      addon.closeDescriptor(fd);
    });
  }
});
