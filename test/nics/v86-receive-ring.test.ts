/**
 * The state of v86's cards is read from v86's inside, which it does not document: this fails when a new v86 moves it.
 */
import { describe, expect, it } from "vitest";
import { Room } from "../../src/nics/paced-delivery.js";
import { V86ReceiveRing } from "../../src/nics/v86-receive-ring.js";
import { makeV86Machine } from "../support/v86-machine.js";

describe.each(["virtio", "ne2k"] as const)("v86's %s card", (nic) => {
  it("is found, and is not set up without a driver", async () => {
    const emulator = await makeV86Machine(nic);
    const ring = new V86ReceiveRing(emulator);
    expect(ring.nic).toBe(nic);
    expect(ring.roomFor(60)).toBe(Room.none);
    await emulator.destroy();
  });
});

describe("ne2k's ring", () => {
  /** Started, 52 pages of 256 bytes, as Linux sets it up; `used` of them have frames. */
  function ringWith(used: number): V86ReceiveRing {
    const net = { cr: 2, pstart: 76, pstop: 128, boundary: 100, curpg: 0 };
    net.curpg = 76 + ((net.boundary + 1 + used - 76) % 52);
    return new V86ReceiveRing({ v86: { cpu: { devices: { net } } } });
  }

  it("has room for a frame as long as one page stays free behind it", () => {
    // A full frame takes 6 pages; 51 pages are there at first.
    expect(ringWith(0).roomFor(1514)).toBe(Room.free);
    expect(ringWith(44).roomFor(1514)).toBe(Room.free);
    expect(ringWith(45).roomFor(1514)).toBe(Room.full);
    expect(ringWith(49).roomFor(60)).toBe(Room.free);
    expect(ringWith(50).roomFor(60)).toBe(Room.full);
  });

  it("counts v86's four bytes of header", () => {
    expect(ringWith(48).roomFor(251)).toBe(Room.free);
    expect(ringWith(49).roomFor(251)).toBe(Room.free);
    expect(ringWith(49).roomFor(252)).toBe(Room.full);
  });

  it("never has room for a frame longer than itself", () => {
    expect(ringWith(0).roomFor(52 * 256)).toBe(Room.none);
  });
});

describe("an emulator of another kind", () => {
  it("has room for everything: nothing is known", () => {
    expect(new V86ReceiveRing({}).nic).toBeUndefined();
    expect(new V86ReceiveRing({}).roomFor(1514)).toBe(Room.free);
  });
});
