/**
 * Contract of NetBackend: frames towards the guest, pushed or pulled.
 */
import { describe, expect } from "vitest";
import {
  eventually,
  PushedFrames,
  settle,
  type BackendHarness,
  type ContractTest,
} from "./harness.js";

/** Takes all waiting frames by `receive`. */
function pullAll({ backend }: BackendHarness): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const target = new Uint8Array(70_000);
  for (;;) {
    const announced = backend.peek();
    const length = backend.receive(target);
    expect(length, "receive must take what peek announced").toBe(announced);
    if (length === 0) return frames;
    frames.push(target.slice(0, length));
  }
}

function describePushing(test: ContractTest): void {
  describe("pushed frames", () => {
    test("do not come before enableReceive", async (harness) => {
      const pushed = new PushedFrames();
      harness.backend.callbacks = pushed.callbacks;
      await harness.provokeFrames(3, 0);
      await settle();
      expect(pushed.frames).toEqual([]);
    });

    test("come in order and unchanged once receiving is enabled", async (harness) => {
      const pushed = new PushedFrames();
      harness.backend.callbacks = pushed.callbacks;
      harness.backend.enableReceive();
      const expected = [
        ...(await harness.provokeFrames(10, 0)),
        ...(await harness.provokeFrames(1, 0)),
      ];
      await eventually(() => {
        expect(pushed.frames).toHaveLength(11);
      });
      expect(pushed.frames).toEqual(expected);
    });

    test("are those that waited first, then new ones", async (harness) => {
      const pushed = new PushedFrames();
      const waiting = await harness.provokeFrames(4, 0);
      harness.backend.callbacks = pushed.callbacks;
      harness.backend.enableReceive();
      const later = await harness.provokeFrames(4, 0);
      await eventually(() => {
        expect(pushed.frames).toHaveLength(8);
      });
      expect(pushed.frames).toEqual([...waiting, ...later]);
    });

    test("lie within the memory of their batch", async (harness) => {
      const pushed = new PushedFrames();
      const faults: string[] = [];
      pushed.onBatch = ({ bytes, count, offsets, lengths }) => {
        if (count < 1) faults.push("an empty batch");
        if (offsets.length < count || lengths.length < count) faults.push("too few entries");
        for (let i = 0; i < count; i++) {
          if (!((offsets[i] ?? NaN) + (lengths[i] ?? NaN) <= bytes.length)) faults.push("outside");
        }
      };
      harness.backend.callbacks = pushed.callbacks;
      harness.backend.enableReceive();
      await harness.provokeFrames(20, 0);
      await eventually(() => {
        expect(pushed.frames).toHaveLength(20);
      });
      expect(faults).toEqual([]);
    });

    test("go to whoever is the callbacks at the time", async (harness) => {
      const first = new PushedFrames();
      const second = new PushedFrames();
      harness.backend.callbacks = first.callbacks;
      harness.backend.enableReceive();
      const toFirst = await harness.provokeFrames(2, 0);
      await eventually(() => {
        expect(first.frames).toEqual(toFirst);
      });
      harness.backend.callbacks = second.callbacks;
      const toSecond = await harness.provokeFrames(2, 0);
      await eventually(() => {
        expect(second.frames).toEqual(toSecond);
      });
      expect(first.frames).toHaveLength(2);
    });

    test("stop with disableReceive, and an extra call does nothing", async (harness) => {
      const { backend } = harness;
      const pushed = new PushedFrames();
      backend.callbacks = pushed.callbacks;
      backend.enableReceive();
      backend.enableReceive();
      const before = await harness.provokeFrames(2, 0);
      await eventually(() => {
        expect(pushed.frames).toEqual(before);
      });
      backend.disableReceive();
      const kept = await harness.provokeFrames(3, 0);
      await settle();
      expect(pushed.frames, "two enables are undone by one disable").toHaveLength(2);
      backend.disableReceive();
      backend.enableReceive();
      await eventually(() => {
        expect(pushed.frames).toEqual([...before, ...kept]);
      });
    });

    test("do not come after disableReceive even when they are on their way", async (harness) => {
      const { backend } = harness;
      const pushed = new PushedFrames();
      backend.callbacks = pushed.callbacks;
      backend.enableReceive();
      const provoked = harness.provokeFrames(5, 0);
      backend.disableReceive();
      const before = pushed.batches;
      const expected = await provoked;
      await settle();
      expect(pushed.batches).toBe(before);
      expect([...pushed.frames, ...pullAll(harness)]).toEqual(expected);
    });

    test("are counted", async (harness) => {
      const pushed = new PushedFrames();
      harness.backend.callbacks = pushed.callbacks;
      harness.backend.enableReceive();
      const expected = await harness.provokeFrames(5, 0);
      await eventually(() => {
        expect(pushed.frames).toHaveLength(5);
      });
      const { framesToGuest, bytesToGuest, droppedToGuest } = harness.backend.statistics();
      expect({ framesToGuest, bytesToGuest, droppedToGuest }).toEqual({
        framesToGuest: 5,
        bytesToGuest: expected.reduce((sum, frame) => sum + frame.length, 0),
        droppedToGuest: 0,
      });
    });
  });
}

function describePulling(test: ContractTest): void {
  describe("pulled frames", () => {
    test("are none at first", ({ backend }) => {
      expect(backend.peek()).toBe(0);
      expect(backend.receive(new Uint8Array(2000))).toBe(0);
    });

    test("come one by one, in order, without callbacks", async (harness) => {
      const expected = await harness.provokeFrames(6, 0);
      expect(harness.backend.peek()).toBe(expected[0]?.length);
      expect(harness.backend.peek(), "peek takes nothing").toBe(expected[0]?.length);
      expect(pullAll(harness)).toEqual(expected);
    });

    test("stay when the target is too short, and the error names both lengths", async (harness) => {
      const { backend } = harness;
      const [frame] = await harness.provokeFrames(1, 0);
      const length = frame?.length ?? NaN;
      let thrown: unknown;
      try {
        backend.receive(new Uint8Array(length - 1));
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(RangeError);
      expect((thrown as RangeError).message).toContain(String(length));
      expect((thrown as RangeError).message).toContain(String(length - 1));
      const target = new Uint8Array(length);
      expect(backend.receive(target)).toBe(length);
      expect(target).toEqual(frame);
    });

    test("leave the rest of a longer target alone", async (harness) => {
      const [frame] = await harness.provokeFrames(1, 0);
      const length = frame?.length ?? NaN;
      const target = new Uint8Array(length + 16).fill(0xaa);
      harness.backend.receive(target);
      expect(target.subarray(0, length)).toEqual(frame);
      expect(target.subarray(length)).toEqual(new Uint8Array(16).fill(0xaa));
    });

    test("may be some, and the rest pushed", async (harness) => {
      const { backend } = harness;
      const expected = await harness.provokeFrames(5, 0);
      const target = new Uint8Array(2000);
      const pulled = [0, 1].map(() => target.slice(0, backend.receive(target)));
      const pushed = new PushedFrames();
      backend.callbacks = pushed.callbacks;
      backend.enableReceive();
      await eventually(() => {
        expect([...pulled, ...pushed.frames]).toEqual(expected);
      });
    });

    test("are the oldest when there is no room for all; the later ones are counted", async (harness) => {
      const { backend } = harness;
      const expected: Uint8Array[] = [];
      for (let round = 0; round < 2000 && backend.statistics().droppedToGuest === 0; round++) {
        expected.push(...(await harness.provokeFrames(100, 0)));
      }
      const { droppedToGuest } = backend.statistics();
      expect(droppedToGuest, "what waits must be bounded").toBeGreaterThan(0);
      const kept = pullAll(harness);
      // Some may be kept in another thread, and come as those before them are pulled.
      await eventually(() => {
        kept.push(...pullAll(harness));
        expect(kept.length + droppedToGuest).toBe(expected.length);
      });
      expect(kept.length).toBeGreaterThan(0);
      expect(kept).toEqual(expected.slice(0, kept.length));
      const later = await harness.provokeFrames(2, 0);
      const pulled: Uint8Array[] = [];
      await eventually(() => {
        pulled.push(...pullAll(harness));
        expect(pulled, "there is room again").toHaveLength(later.length);
      });
      expect(pulled).toEqual(later);
    });
  });
}

/** Registers the tests. */
export function describeReceiving(test: ContractTest): void {
  describePushing(test);
  describePulling(test);
}
