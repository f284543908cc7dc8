/**
 * Headers and offloads of TAPs, with the kernel's own TCP at both ends of a cable.
 */
import { expect } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import type { TapBackend } from "../../src/tap.js";
import { VirtioNetFeature as Feature } from "../../src/virtio-net.js";
import type { TapWorld } from "../support/describe-tap.js";
import { describeTap, waitUntil } from "../support/describe-tap.js";
import { FrameWatch } from "../support/frame-watch.js";
import { EXPECTED_FETCH, FAR, withKernelCable } from "../support/kernel-cable.js";

const incapable = { code: ErrorCode.unsupportedCapability };
/** What every kernel of these years has. */
const CLASSIC =
  Feature.checksum |
  Feature.guestChecksum |
  Feature.hostTso4 |
  Feature.guestTso4 |
  Feature.hostTso6 |
  Feature.guestTso6 |
  Feature.hostEcn |
  Feature.guestEcn;

describeTap("what a TAP can", (test) => {
  test("is asked of the kernel: nothing without a header, offloads with one", async (world) => {
    const tap = await world.open();
    expect(tap.capabilities(0)).toBe(0n);
    for (const length of [10, 12] as const) {
      expect(tap.capabilities(length) & CLASSIC).toBe(CLASSIC);
    }
    expect(tap.capabilities(12) & ~tap.capabilities(10)).toBe(Feature.mergedReceiveBuffers);
    expect(tap.device.probeHeaderLengths()).toEqual([10, 12]);
    expect(tap.device.kernelHeaderBytes, "probing changes nothing").toBe(10);
    tap.setCapabilities(0n, 12);
    expect(tap.device.kernelHeaderBytes).toBe(12);
  });

  test("is an error, not the end, where the device is gone in the middle", async (world) => {
    const tap = await world.open({ name: "tap0" });
    await world.namespace.ip("link delete tap0");
    const gone = expect.objectContaining({ code: ErrorCode.deviceFailed }) as Error;
    expect(() => tap.device.probeHeaderLengths()).toThrow(gone);
    expect(() => tap.capabilities(12)).toThrow(gone);
    expect(() => {
      tap.setCapabilities(0n, 12);
    }).toThrow(gone);
    await tap.close();
  });

  test("is plain frames where the kernel is told to have no header", async (world) => {
    const tap = await world.open({ vnetHeader: false });
    expect([0, 10, 12].map((length) => tap.capabilities(length as 0 | 10 | 12))).toEqual([
      0n,
      0n,
      0n,
    ]);
    expect(tap.device.probeHeaderLengths()).toEqual([0]);
    tap.setCapabilities(0n, 12);
    expect(() => {
      tap.setCapabilities(Feature.guestChecksum, 12);
    }).toThrow(expect.objectContaining(incapable));
  });

  test("is agreed on without a change to what else is known of it", async (world) => {
    const mac = "52:54:00:12:34:56";
    const tap = await world.open({ name: "tap0", mac, mtuBytes: 1400, up: true });
    tap.setCapabilities(tap.capabilities(12), 12);
    tap.setCapabilities(0n, 0);
    const link = await world.namespace.run("ip", "-o", "link", "show", "tap0");
    expect(link).toContain(mac);
    expect(link).toContain("mtu 1400");
  });

  test("is refused in combinations that the kernel has not, and then stays as it was", async (world) => {
    const tap = await world.open({ addresses: ["10.0.5.1/24"] });
    const all = tap.capabilities(12);
    const wrong = {
      "segments without checksums": Feature.guestTso4,
      "ECN without segments": Feature.guestChecksum | Feature.guestEcn,
      "a feature of nobody": Feature.guestChecksum | (1n << 49n),
      ...((all & Feature.guestUso4) !== 0n && {
        "USO of one version": Feature.guestChecksum | Feature.guestUso4,
      }),
    };
    tap.setCapabilities(Feature.guestChecksum, 12);
    for (const [what, features] of Object.entries(wrong)) {
      expect(() => {
        tap.setCapabilities(features, 10);
      }, what).toThrow(expect.objectContaining(incapable));
    }
    expect(await firstFlags(world, tap), "checksums may still be unfinished").toBe(1);
    expect(tap.peek(), "the header is still of 12 bytes").toBe(0);
  });

  test("can be set to bytes of either order, where the kernel was built for it", async (world) => {
    const tap = await world.open({ addresses: ["10.0.5.1/24"] });
    tap.setCapabilities(Feature.guestChecksum, 12);
    let hasBig = true;
    try {
      tap.device.setByteOrder("big");
    } catch (error) {
      expect(error).toMatchObject(incapable);
      hasBig = false;
    }
    const frame = await nextDatagram(world, tap);
    const view = new DataView(frame.buffer);
    expect(view.getUint16(6, !hasBig), "csum_start").toBe(34);
    expect(view.getUint16(10, !hasBig), "num_buffers").toBe(1);
    tap.device.setByteOrder("little");
    expect(new DataView((await nextDatagram(world, tap)).buffer).getUint16(6, true)).toBe(34);
  });

  test("has a send buffer, which is without bound unless it is said", async (world) => {
    const tap = await world.open();
    expect(tap.device.sendBufferBytes()).toBe(0x7fff_ffff);
    tap.device.setSendBuffer(100_000);
    expect(tap.device.sendBufferBytes()).toBe(100_000);
    expect(() => {
      tap.device.setSendBuffer(0);
    }).toThrow(expect.objectContaining({ code: ErrorCode.invalidConfiguration }));
    expect(tap.device.sendBufferBytes()).toBe(100_000);
  });

  test("is given up with what waits in the kernel: a frame that says more is counted as dropped, not handed on", async (world) => {
    const tap = await world.open({ addresses: ["10.0.5.1/24"] });
    tap.setCapabilities(Feature.guestChecksum, 12);
    await sendDatagram(world, tap);
    tap.setCapabilities(0n, 0);
    await sendDatagram(world, tap);
    await waitUntil("the second frame is there", () => tap.peek() > 0);
    const frame = new Uint8Array(tap.peek());
    tap.receive(frame);
    expect([...frame.subarray(12, 14)], "no header").toEqual([8, 0]);
    expect(tap.peek()).toBe(0);
    expect(tap.statistics()).toMatchObject({ framesToGuest: 1, droppedToGuest: 1 });
  });

  test("is given up with what waits in the kernel also where the header stays", async (world) => {
    const tap = await world.open({ addresses: ["10.0.5.1/24"] });
    for (const [length, waitsInBackend] of [
      [12, false],
      [10, false],
      [12, true],
    ] as const) {
      tap.setCapabilities(Feature.guestChecksum, length);
      const before = tap.statistics();
      await sendDatagram(world, tap);
      if (waitsInBackend) await waitUntil("a frame was looked at", () => tap.peek() > 0);
      tap.setCapabilities(0n, length);
      const flags = await firstFlags(world, tap);
      expect(flags, "the frame that was sent afterwards is whole").toBe(0);
      expect(tap.peek()).toBe(0);
      const { framesToGuest, droppedToGuest } = tap.statistics();
      expect(framesToGuest - before.framesToGuest).toBe(1);
      expect(droppedToGuest - before.droppedToGuest).toBe(1);
    }
  });

  test("is given up in part: what is still agreed on waits on, the rest is dropped", async (world) => {
    const tap = await world.open({ addresses: ["10.0.5.1/24"], up: true });
    tap.setCapabilities(tap.capabilities(12), 12);
    await sendDatagram(world, tap);
    tap.setCapabilities(Feature.guestChecksum, 12);
    await waitUntil("a frame is there", () => tap.peek() > 0);
    const frame = new Uint8Array(tap.peek());
    tap.receive(frame);
    expect([frame[0], frame[1]]).toEqual([1, 0]);
    expect(tap.statistics().droppedToGuest).toBe(0);
  });

  test("is known again after another user: offloads and header are put back", async (world) => {
    const first = await world.open({ name: "tap0", persistent: true, addresses: ["10.0.5.1/24"] });
    first.setCapabilities(first.capabilities(12), 12);
    await first.close();
    const second = await world.open({ name: "tap0" });
    expect(second.device.kernelHeaderBytes).toBe(10);
    second.setCapabilities(0n, 12);
    expect(await firstFlags(world, second)).toBe(0);
  });
});

/** Has the kernel send a datagram out of the interface. */
async function sendDatagram(world: TapWorld, tap: TapBackend): Promise<void> {
  await world.namespace.ip(
    `neighbour replace 10.0.5.2 lladdr 52:54:00:12:34:56 dev ${tap.interfaceName}`,
  );
  await world.namespace.run("bash", "-c", "echo hello > /dev/udp/10.0.5.2/9");
}

/** A datagram that the kernel sends out of the interface. */
async function nextDatagram(world: TapWorld, tap: TapBackend): Promise<Uint8Array> {
  await sendDatagram(world, tap);
  await waitUntil("a frame is there", () => tap.peek() > 0);
  const frame = new Uint8Array(tap.peek());
  tap.receive(frame);
  return frame;
}

async function firstFlags(world: TapWorld, tap: TapBackend): Promise<number | undefined> {
  return (await nextDatagram(world, tap))[0];
}

describeTap("TCP of the kernel through two TAPs", (test) => {
  for (const [mtu, host] of [
    [1500, FAR[4]],
    [1500, FAR[6]],
    [9000, FAR[4]],
    [65_520, FAR[6]],
  ] as const) {
    test(`goes in long frames at MTU ${String(mtu)} to ${host}`, async (world) => {
      await withKernelCable(world, { mtuBytes: mtu }, async ({ far: [far], fetch }) => {
        const watch = FrameWatch.on(far);
        expect(await fetch(host)).toBe(EXPECTED_FETCH);
        expect(watch.longest).toBeGreaterThan(Math.min(Math.max(20_000, mtu), 40_000));
        expect(watch.unfinished).toBeGreaterThan(0);
      });
    });
  }

  test("goes in plain frames where nothing was agreed on", async (world) => {
    await withKernelCable(
      world,
      { mtuBytes: 1500 },
      async ({ near: [near], far: [far], fetch }) => {
        near.setCapabilities(0n, 0);
        far.setCapabilities(0n, 0);
        const watch = FrameWatch.on(far, 0);
        expect(await fetch()).toBe(EXPECTED_FETCH);
        expect(watch.longest).toBeLessThanOrEqual(1514);
      },
    );
  });

  test("is switched at run time: each switch leaves the other as it is", async (world) => {
    await withKernelCable(world, { mtuBytes: 1500 }, async ({ far: [far], fetch }) => {
      const run = async (): Promise<FrameWatch> => {
        const { callbacks } = far;
        const watch = FrameWatch.on(far);
        expect(await fetch()).toBe(EXPECTED_FETCH);
        far.callbacks = callbacks;
        return watch;
      };
      const isLong = ({ longest }: FrameWatch): boolean => longest > 1514;
      const isUnfinished = ({ unfinished }: FrameWatch): boolean => unfinished > 0;
      far.device.switchOffloads({ segmentation: false });
      let seen = await run();
      expect([isLong(seen), isUnfinished(seen)], "segmentation off").toEqual([false, true]);
      far.device.switchOffloads({ checksum: false });
      seen = await run();
      expect([isLong(seen), isUnfinished(seen)], "both off").toEqual([false, false]);
      far.device.switchOffloads({ segmentation: true });
      seen = await run();
      expect([isLong(seen), isUnfinished(seen)], "no segments without sums").toEqual([
        false,
        false,
      ]);
      far.device.switchOffloads({ checksum: true });
      seen = await run();
      expect([isLong(seen), isUnfinished(seen)], "both on").toEqual([true, true]);
    });
  });
});
