/**
 * The v86 NIC against a bus that the test holds: faults, full cards, addresses. Real guests are in test/system.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { V86 } from "v86";
import { attachV86, type V86Attachment, type V86Emulator } from "../../src/nics/v86.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import {
  batchOf,
  frameIndex,
  framesOf,
  GUEST_MAC,
  NETWORK_MAC,
  numberedFrame,
} from "../support/frames.js";
import { eventually, range, settle } from "../net-backend-contract/harness.js";
import { FakeEmulator } from "../support/fake-emulator.js";

const OTHER_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0xab, 0xcd, 0xef);
const ALL_NODES = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
const BROADCAST = new Uint8Array(6).fill(0xff);

const open: { attachment?: V86Attachment; ends: PairEnd[] } = { ends: [] };

/** An emulator attached to the near end; what the guest sent comes out at the far end. */
function attach(
  emulator: V86Emulator,
  options: Parameters<typeof attachV86>[2] & { limits?: { maxFrames: number } } = {},
): { attachment: V86Attachment; near: PairEnd; far: PairEnd; fromGuest: Uint8Array[] } {
  const { near, far } = createBackendPair(options.limits);
  const fromGuest: Uint8Array[] = [];
  far.callbacks = { onFrames: (batch) => fromGuest.push(...framesOf(batch)) };
  far.enableReceive();
  const attachment = attachV86(emulator, near, options);
  open.attachment = attachment;
  open.ends.push(near, far);
  return { attachment, near, far, fromGuest };
}

afterEach(async () => {
  open.attachment?.detach();
  for (const end of open.ends.splice(0)) await end.close();
});

function indices(frames: readonly Uint8Array[]): (number | undefined)[] {
  return frames.map((frame) => frameIndex(frame));
}

describe("attachV86", () => {
  it("is given v86's class without a cast", () => {
    const accept = (emulator: V86): V86Emulator => emulator;
    expect(accept).toBeTypeOf("function");
  });

  it("refuses an emulator without a bus, by name", () => {
    const { near } = createBackendPair();
    const listeners = new FakeEmulator();
    const emulator: V86Emulator = {
      add_listener: listeners.add_listener.bind(listeners),
      remove_listener: listeners.remove_listener.bind(listeners),
    };
    expect(() => attachV86(emulator, near)).toThrow(/`bus`/);
  });

  it("sends what the guest sends, though v86 reuses the memory at once", async () => {
    const emulator = new FakeEmulator();
    const { fromGuest } = attach(emulator);
    const memory = new Uint8Array(1600);
    for (const index of range(0, 5)) {
      const frame = numberedFrame(index, { length: 60 + index });
      memory.set(frame);
      emulator.sendFromGuest(memory.subarray(0, frame.length));
    }
    memory.fill(0);
    await eventually(() => {
      expect(indices(fromGuest)).toEqual(range(0, 5));
    });
  });

  it("gives the guest what the network sends", async () => {
    const emulator = new FakeEmulator();
    const { far } = attach(emulator);
    far.sendBatch(batchOf(range(0, 50).map((index) => numberedFrame(index))));
    await eventually(() => {
      expect(indices(emulator.received)).toEqual(range(0, 50));
    });
  });

  it("keeps frames while the backend must wait, in order, and counts those beyond the bound", async () => {
    const emulator = new FakeEmulator();
    const { attachment, fromGuest } = attach(emulator, {
      maxWaitingFrames: 10,
      limits: { maxFrames: 4 },
    });
    // In one go: 4 find room in the backend, 10 wait, 6 are lost.
    for (const index of range(0, 20)) emulator.sendFromGuest(numberedFrame(index));
    expect(attachment.statistics().droppedFromGuest).toBe(6);
    await eventually(() => {
      expect(indices(fromGuest)).toEqual(range(0, 14));
    });
    emulator.sendFromGuest(numberedFrame(99));
    await eventually(() => {
      expect(indices(fromGuest)).toEqual([...range(0, 14), 99]);
    });
  });

  it("does nothing any more after detach, and leaves the backend open", async () => {
    const emulator = new FakeEmulator();
    const { attachment, far, near, fromGuest } = attach(emulator);
    attachment.detach();
    attachment.detach();
    emulator.sendFromGuest(numberedFrame(1));
    far.send(numberedFrame(2));
    await settle();
    expect(fromGuest).toEqual([]);
    expect(emulator.received).toEqual([]);
    expect(emulator.listenerCount).toBe(0);
    expect(near.isClosed).toBe(false);
    expect(near.peek()).toBe(60);
  });

  it("frees v86's interrupt controller before it gives frames, and counts that", async () => {
    const memory = new Uint8Array(64);
    memory[2] = 4;
    const cpu = {
      in_hlt: [1],
      flags: [0x202],
      wasm_memory: { buffer: memory.buffer },
      get_pic_addr_master: () => 0,
      get_pic_addr_slave: () => 32,
    };
    const emulator = Object.assign(new FakeEmulator(), { v86: { cpu } });
    const { attachment, far } = attach(emulator);
    far.send(numberedFrame(1));
    await eventually(() => {
      expect(indices(emulator.received)).toEqual([1]);
    });
    expect(memory[2]).toBe(0);
    expect(attachment.statistics().unblockedInterrupts).toBe(1);
  });

  it("is unplugged, not broken, when the backend is closed under it", async () => {
    const emulator = new FakeEmulator();
    const { near } = attach(emulator);
    await near.close();
    expect(() => {
      emulator.sendFromGuest(numberedFrame(1));
    }).not.toThrow();
    expect(emulator.listenerCount).toBe(0);
  });

  it("is unplugged when the backend ends by itself", () => {
    const emulator = new FakeEmulator();
    const { near } = attach(emulator);
    near.notifyError(new Error("the stack failed"));
    expect(emulator.listenerCount).toBe(0);
  });
});

describe("addresses", () => {
  it("are learned from frames, and anew when the guest was restored with another", () => {
    const emulator = new FakeEmulator();
    const { attachment } = attach(emulator);
    expect(attachment.mac).toBeUndefined();
    emulator.sendFromGuest(numberedFrame(1));
    expect(attachment.mac).toBe("52:54:00:12:34:56");
    emulator.sendFromGuest(numberedFrame(1, { source: OTHER_MAC }));
    expect(attachment.mac).toBe("52:54:00:ab:cd:ef");
    emulator.sendFromGuest(numberedFrame(1, { source: ALL_NODES }));
    expect(attachment.mac, "a group address is nobody's").toBe("52:54:00:ab:cd:ef");
  });

  it("of multicasts become the guest's for ne2k, and those of other frames stay", async () => {
    const emulator = new FakeEmulator();
    const { far } = attach(emulator, { nic: "ne2k" });
    emulator.sendFromGuest(numberedFrame(0, { source: OTHER_MAC }));
    const sent = [ALL_NODES, BROADCAST, GUEST_MAC].map((destination, index) =>
      numberedFrame(index, { destination, source: NETWORK_MAC, length: 200 }),
    );
    far.sendBatch(batchOf(sent));
    await eventually(() => {
      expect(emulator.received).toHaveLength(3);
    });
    expect(emulator.received.map((frame) => frame.slice(0, 6))).toEqual([
      OTHER_MAC,
      BROADCAST,
      GUEST_MAC,
    ]);
    expect(emulator.received.map((frame) => frame.slice(6))).toEqual(
      sent.map((frame) => frame.slice(6)),
    );
  });

  it("of multicasts stay for virtio", async () => {
    const emulator = new FakeEmulator();
    const { far } = attach(emulator, { nic: "virtio" });
    emulator.sendFromGuest(numberedFrame(0));
    far.send(numberedFrame(1, { destination: ALL_NODES }));
    await eventually(() => {
      expect(emulator.received.map((frame) => frame.slice(0, 6))).toEqual([ALL_NODES]);
    });
  });

  it("of multicasts: the card decides where it is found", async () => {
    const emulator = new FakeEmulator({ nic: "virtio", capacity: 8 });
    const { far } = attach(emulator);
    emulator.sendFromGuest(numberedFrame(0));
    far.send(numberedFrame(1, { destination: ALL_NODES }));
    await eventually(() => {
      expect(emulator.received.map((frame) => frame.slice(0, 6))).toEqual([ALL_NODES]);
    });
  });
});

describe.each(["virtio", "ne2k"] as const)("a full %s card", (nic) => {
  /** ne2k frames take one page of 256 bytes each, and one page stays free. */
  const capacity = 8;

  it("gets every frame in order, as it has room", async () => {
    const emulator = new FakeEmulator({ nic, capacity });
    const { attachment, far } = attach(emulator);
    const total = 300;
    let sent = 0;
    while (sent < total) {
      far.send(numberedFrame(sent, { length: 100 }));
      sent++;
      if (sent % 40 === 0) await settle();
      if (sent % 80 === 0) emulator.drain();
    }
    await eventually(() => {
      emulator.drain();
      expect(emulator.received).toHaveLength(total);
    });
    expect(indices(emulator.received)).toEqual(range(0, total));
    expect(emulator.overruns).toBe(0);
    expect(attachment.statistics().droppedToGuest).toBe(0);
  });

  it("gets no frame while the guest sends, in the middle of its driver, but soon after", async () => {
    const emulator = new FakeEmulator({ nic, capacity });
    const { far } = attach(emulator);
    far.sendBatch(batchOf(range(0, 12).map((index) => numberedFrame(index))));
    await settle();
    const before = emulator.received.length;
    expect(before).toBeLessThan(12);
    emulator.drain();
    emulator.sendFromGuest(numberedFrame(1));
    expect(emulator.received.length).toBe(before);
    await eventually(() => expect(emulator.received.length).toBeGreaterThan(before));
  });

  it("of a guest that hangs costs frames, but neither a timer for ever nor what comes later", async () => {
    const emulator = new FakeEmulator({ nic, capacity });
    const { attachment, far } = attach(emulator);
    far.sendBatch(batchOf(range(0, 20).map((index) => numberedFrame(index))));
    await eventually(() => {
      expect(attachment.statistics().droppedToGuest).toBeGreaterThan(0);
    });
    const given = emulator.received.length;
    expect(given + attachment.statistics().droppedToGuest).toBe(20);
    emulator.drain();
    far.send(numberedFrame(77));
    await eventually(() => {
      expect(indices(emulator.received.slice(given))).toEqual([77]);
    });
  });

  it("that is not set up gets nothing: v86 would write to guest address 0, or drop", async () => {
    const emulator = new FakeEmulator({ nic, capacity, off: true });
    const { attachment, far } = attach(emulator);
    far.send(numberedFrame(1));
    await eventually(() => {
      expect(attachment.statistics().droppedToGuest).toBe(1);
    });
    expect(emulator.received).toEqual([]);
  });

  it("forgets what waits when it is detached", async () => {
    const emulator = new FakeEmulator({ nic, capacity });
    const { attachment, far } = attach(emulator);
    far.sendBatch(batchOf(range(0, 20).map((index) => numberedFrame(index))));
    await settle();
    attachment.detach();
    emulator.drain();
    const before = emulator.received.length;
    await settle();
    expect(emulator.received).toHaveLength(before);
  });
});
