/** Offloads and headers where the kernel knows less than the one at hand, or fails: what is agreed on then, and that nothing is left half done. */
import { describe, expect, it } from "vitest";
import { TunFlag, TunOffload, TunRequest } from "../../src/backends/tap-addon.js";
import { openTapDescriptor } from "../../src/backends/tap-descriptor.js";
import { TapDevice } from "../../src/backends/tap-device.js";
import { SharedOffloads } from "../../src/backends/tap-shared-offloads.js";
import { ErrorCode } from "../../src/errors.js";
import { VirtioNetFeature as Feature } from "../../src/virtio-net.js";
import { FakeTapAddon, type FakeKernel } from "../support/fake-tap-addon.js";

const { checksum, tso4, tso6, ecn, ufo, uso4, uso6 } = TunOffload;
const incapable = expect.objectContaining({ code: ErrorCode.unsupportedCapability }) as Error;
const failed = expect.objectContaining({ code: ErrorCode.deviceFailed }) as Error;

const DESCRIPTOR = { fd: 5, name: "tap0", flags: TunFlag.tap | TunFlag.header };

function openDevice(kernel: FakeKernel = {}): { addon: FakeTapAddon; device: TapDevice } {
  const addon = new FakeTapAddon(kernel);
  return { addon, device: new TapDevice(addon, DESCRIPTOR) };
}

const BOTH_CHECKSUMS = Feature.checksum | Feature.guestChecksum;
const BOTH_TSO = Feature.hostTso4 | Feature.guestTso4 | Feature.hostTso6 | Feature.guestTso6;
const BOTH_ECN = Feature.hostEcn | Feature.guestEcn;
const BOTH_UFO = Feature.hostUfo | Feature.guestUfo;
const BOTH_USO = Feature.hostUso | Feature.guestUso4 | Feature.guestUso6;

describe("a TAP of a kernel that knows fewer offloads", () => {
  const tcp = checksum | tso4 | tso6;
  const generations: readonly [string, number, bigint][] = [
    [
      "all",
      tcp | ecn | ufo | uso4 | uso6,
      BOTH_CHECKSUMS | BOTH_TSO | BOTH_ECN | BOTH_UFO | BOTH_USO,
    ],
    ["no UFO", tcp | ecn | uso4 | uso6, BOTH_CHECKSUMS | BOTH_TSO | BOTH_ECN | BOTH_USO],
    ["no USO", tcp | ecn | ufo, BOTH_CHECKSUMS | BOTH_TSO | BOTH_ECN | BOTH_UFO],
    ["neither", tcp | ecn, BOTH_CHECKSUMS | BOTH_TSO | BOTH_ECN],
    ["no ECN", tcp, BOTH_CHECKSUMS | BOTH_TSO],
    ["checksums alone", checksum, BOTH_CHECKSUMS],
    ["none", 0, 0n],
  ];
  for (const [what, offloads, features] of generations) {
    it(`has the features that it knows, and can be agreed on all of them: ${what}`, () => {
      const { addon, device } = openDevice({ offloads });
      expect(device.features(10)).toBe(features);
      expect(addon.offloads, "asking sets nothing").toBe(0);
      device.agree(features, 10);
      expect(addon.offloads).toBe(offloads);
      const { length } = addon.asked;
      expect(device.features(12)).toBe(features | Feature.mergedReceiveBuffers);
      expect(addon.asked.length, "asked once").toBe(length);
      const unknown = BOTH_USO & ~features;
      if (unknown !== 0n) expect(() => device.agree(features | unknown, 12)).toThrow(incapable);
      expect(addon.offloads).toBe(offloads);
    });
  }

  it("is asked again without UFO where it has lost that", () => {
    const { addon, device } = openDevice();
    const wanted = Feature.guestChecksum | Feature.guestTso4 | Feature.guestUfo;
    device.agree(Feature.guestChecksum, 12);
    addon.known &= ~ufo;
    device.agree(wanted, 12);
    expect(addon.asked.slice(-2)).toEqual([checksum | tso4 | ufo, checksum | tso4]);
    expect(addon.offloads).toBe(checksum | tso4);
  });

  it("refuses what it has lost besides, and says what that was", () => {
    const { addon, device } = openDevice();
    device.agree(Feature.guestChecksum, 12);
    addon.known = checksum;
    const wanted = Feature.guestChecksum | Feature.guestTso4 | Feature.guestUfo;
    expect(() => device.agree(wanted, 12)).toThrow(/0x13 \(TUNSETOFFLOAD\)/);
    expect(() => device.agree(wanted, 12)).toThrow(incapable);
    expect([addon.offloads, device.agreedOffloads]).toEqual([checksum, checksum]);
  });

  it("keeps its first header where it takes no other, and the port translates", () => {
    const { addon, device } = openDevice({ headerLengths: [10] });
    device.agree(Feature.guestChecksum, 12);
    expect([addon.headerLength, device.kernelHeaderBytes]).toEqual([10, 10]);
    expect(addon.offloads).toBe(checksum);
    expect(device.probeHeaderLengths()).toEqual([10]);
  });
});

describe("opening a TAP of a kernel that knows less", () => {
  const cases = [
    ["virtio-net headers", { vnetHeader: true }, TunFlag.multiQueue],
    ["several queues", { multiQueue: true }, TunFlag.header],
  ] as const;
  for (const [what, options, features] of cases) {
    it(`is refused where it must have ${what}, and leaves nothing open`, () => {
      const addon = new FakeTapAddon({ features });
      const open = (): unknown => openTapDescriptor(addon, options);
      expect(open).toThrow(incapable);
      expect(open).toThrow(new RegExp(`no ${what}`));
      expect(addon.interfaces).toEqual([]);
      expect(addon.closed).toEqual([5, 5]);
    });
  }

  it("does without headers where they need not be, and offers nothing then", () => {
    const addon = new FakeTapAddon({ features: 0 });
    const descriptor = openTapDescriptor(addon);
    expect(addon.interfaces).toEqual([TunFlag.tap | TunFlag.noPacketInformation]);
    const device = new TapDevice(addon, descriptor);
    expect(device.hasHeader).toBe(false);
    expect([device.features(12), device.probeHeaderLengths()]).toEqual([0n, [0]]);
    device.agree(0n, 12);
    expect(addon.asked).toEqual([]);
  });
});

describe("an agreement that fails in the middle", () => {
  const wanted = Feature.guestChecksum | Feature.guestTso4;

  for (const request of [TunRequest.setOffload, TunRequest.setHeaderLength]) {
    for (const code of ["EBADFD", "EINVAL"]) {
      it(`changes nothing: request ${String(request)} answers ${code}`, () => {
        const { addon, device } = openDevice();
        device.agree(Feature.guestChecksum, 10);
        const before = { ...addon, kernel: device.kernelHeaderBytes };
        addon.fails = (asked, value) => {
          const isIt = request === TunRequest.setOffload ? value !== checksum : value === 12;
          return asked === request && isIt ? code : undefined;
        };
        // A header that is not taken is translated from: that is no failure.
        if (request === TunRequest.setHeaderLength && code === "EINVAL") {
          device.agree(wanted, 12);
          expect([addon.headerLength, addon.offloads]).toEqual([10, checksum | tso4]);
          return;
        }
        expect(() => device.agree(wanted, 12)).toThrow(code === "EINVAL" ? incapable : failed);
        expect([addon.headerLength, addon.offloads]).toEqual([
          before.headerLength,
          before.offloads,
        ]);
        expect([device.kernelHeaderBytes, device.agreedOffloads]).toEqual([10, checksum]);
        addon.fails = undefined;
        device.switchOffloads({ segmentation: false });
        expect(addon.offloads, "what was agreed on before").toBe(checksum);
      });
    }
  }

  it("tells the port of the header that it is left with, should even that not go back", () => {
    const { addon, device } = openDevice();
    let told = 0;
    device.onHeaderChange = () => told++;
    device.features(12);
    addon.fails = (request, value) => {
      const isBack = request === TunRequest.setHeaderLength && value === 10;
      return isBack || (request === TunRequest.setOffload && value !== 0) ? "EIO" : undefined;
    };
    expect(() => device.agree(Feature.guestChecksum, 12)).toThrow(failed);
    expect([addon.headerLength, device.kernelHeaderBytes, told]).toEqual([12, 12, 1]);
  });
});

describe("queues of one device", () => {
  it("are asked once, and one whose wishes are refused does not change the others'", () => {
    const addon = new FakeTapAddon();
    const shared = new SharedOffloads(addon);
    const [first, second] = [5, 6].map(
      (fd) => new TapDevice(addon, { ...DESCRIPTOR, fd }, undefined, shared),
    ) as [TapDevice, TapDevice];
    const all = first.features(12);
    const { length } = addon.asked;
    expect(second.features(12)).toBe(all);
    expect(addon.asked.length).toBe(length);
    first.agree(all & ~Feature.mergedReceiveBuffers, 12);
    expect(addon.offloads).toBe(0);
    addon.known = checksum;
    expect(() => second.agree(all & ~Feature.mergedReceiveBuffers, 12)).toThrow(incapable);
    expect(second.agreedOffloads).toBe(0);
    second.agree(Feature.guestChecksum, 12);
    expect(addon.offloads).toBe(checksum);
  });

  it("that want TCP over different versions have ECN over none", () => {
    const addon = new FakeTapAddon();
    const shared = new SharedOffloads(addon);
    shared.want(5, checksum | tso4 | ecn);
    shared.want(6, checksum | tso6 | ecn);
    expect(addon.offloads).toBe(checksum);
    shared.leave(6);
    expect(addon.offloads).toBe(checksum | tso4 | ecn);
  });
});
