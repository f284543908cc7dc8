/**
 * Contract of NetBackend: frames from the guest.
 */
import { describe, expect } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { batchOf } from "../support/frames.js";
import { eventually, guestFrames, range, settle, type ContractTest } from "./harness.js";

/** Longer than any frame of any backend. */
const FAR_TOO_LONG = 1024 * 1024;

/** Registers the tests. */
export function describeSending(test: ContractTest): void {
  describe("send", () => {
    test("takes a frame and brings it to the network", async (harness) => {
      const { backend } = harness;
      expect(backend.send(harness.frameFromGuest(7))).toBe(SendStatus.taken);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([7]);
      });
    });

    test("keeps the order of frames", async (harness) => {
      for (const frame of guestFrames(harness, 0, 20)) {
        expect(harness.backend.send(frame)).toBe(SendStatus.taken);
      }
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual(range(0, 20));
      });
    });

    test("copies: the caller may overwrite the frame when the call returned", async (harness) => {
      const frame = harness.frameFromGuest(1);
      const before = frame.slice();
      harness.backend.send(frame);
      expect(frame).toEqual(before);
      frame.fill(0xff);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([1]);
      });
    });

    test("takes a frame that lies in the middle of a memory", async (harness) => {
      const frame = harness.frameFromGuest(3);
      const memory = new Uint8Array(frame.length + 100).fill(0xaa);
      memory.set(frame, 33);
      harness.backend.send(memory.subarray(33, 33 + frame.length));
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([3]);
      });
    });

    test("says that it dropped what is no frame, and goes on", async (harness) => {
      const { backend } = harness;
      expect(backend.send(new Uint8Array(0))).toBe(SendStatus.dropped);
      expect(backend.send(harness.frameFromGuest(0).subarray(0, 13))).toBe(SendStatus.dropped);
      expect(backend.send(new Uint8Array(FAR_TOO_LONG))).toBe(SendStatus.dropped);
      expect(backend.statistics().droppedFromGuest).toBe(3);
      expect(backend.send(harness.frameFromGuest(2))).toBe(SendStatus.taken);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([2]);
      });
    });

    test("counts what it took", (harness) => {
      const frame = harness.frameFromGuest(0);
      harness.backend.send(frame);
      harness.backend.send(frame);
      const { framesFromGuest, bytesFromGuest, droppedFromGuest } = harness.backend.statistics();
      expect({ framesFromGuest, bytesFromGuest, droppedFromGuest }).toEqual({
        framesFromGuest: 2,
        bytesFromGuest: 2 * frame.length,
        droppedFromGuest: 0,
      });
    });
  });

  describe("sendGathered", () => {
    test("sends the pieces as one frame, in order", async (harness) => {
      const frame = harness.frameFromGuest(5);
      const pieces = [
        frame.subarray(0, 1),
        frame.subarray(1, 14),
        new Uint8Array(0),
        frame.subarray(14, 40),
        frame.subarray(40),
      ];
      expect(harness.backend.sendGathered(pieces)).toBe(SendStatus.taken);
      expect(harness.backend.sendGathered([harness.frameFromGuest(6)])).toBe(SendStatus.taken);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([5, 6]);
      });
    });

    test("judges the length of all pieces together", (harness) => {
      const { backend } = harness;
      const frame = harness.frameFromGuest(0);
      expect(backend.sendGathered([])).toBe(SendStatus.dropped);
      expect(backend.sendGathered([frame.subarray(0, 6), frame.subarray(6, 13)])).toBe(
        SendStatus.dropped,
      );
      const half = new Uint8Array(FAR_TOO_LONG / 2);
      expect(backend.sendGathered([half, half])).toBe(SendStatus.dropped);
      expect(backend.statistics().droppedFromGuest).toBe(3);
    });
  });

  describe("sendBatch", () => {
    test("sends all frames, in order, and nothing beyond the count", async (harness) => {
      const result = harness.backend.sendBatch(batchOf(guestFrames(harness, 0, 30)));
      expect({ ...result }).toEqual({ status: SendStatus.taken, consumed: 30, dropped: 0 });
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual(range(0, 30));
      });
      await settle();
      expect(harness.arrivedFromGuest()).toHaveLength(30);
    });

    test("copies, and does not write to the batch", async (harness) => {
      const batch = batchOf(guestFrames(harness, 0, 3));
      const before = batch.bytes.slice();
      harness.backend.sendBatch(batch);
      expect(batch.bytes).toEqual(before);
      batch.bytes.fill(0xff);
      batch.offsets.fill(0);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([0, 1, 2]);
      });
    });

    test("drops malformed frames alone and says how many", async (harness) => {
      const [first, second] = guestFrames(harness, 0, 2) as [Uint8Array, Uint8Array];
      const result = harness.backend.sendBatch(
        batchOf([new Uint8Array(5), first, first.subarray(0, 13), second, new Uint8Array(0)]),
      );
      expect({ ...result }).toEqual({ status: SendStatus.dropped, consumed: 5, dropped: 3 });
      expect(harness.backend.statistics().droppedFromGuest).toBe(3);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([0, 1]);
      });
    });

    test("does nothing for an empty batch", (harness) => {
      const result = harness.backend.sendBatch(batchOf([]));
      expect({ ...result }).toEqual({ status: SendStatus.taken, consumed: 0, dropped: 0 });
      expect(harness.backend.statistics().framesFromGuest).toBe(0);
    });
  });

  describe("mustWait", () => {
    test("is answered when there is no room, and followed by one onWritable", async (harness) => {
      const { backend } = harness;
      let writable = 0;
      backend.callbacks = {
        onFrames: () => undefined,
        onWritable: () => {
          writable++;
        },
      };
      let sent = 0;
      let status: SendStatus = SendStatus.taken;
      while (status === SendStatus.taken && sent < 200_000) {
        status = backend.send(harness.frameFromGuest(sent % 10_000));
        if (status === SendStatus.taken) sent++;
      }
      if (harness.neverWaits) {
        expect(status).not.toBe(SendStatus.mustWait);
        return;
      }
      expect(status).toBe(SendStatus.mustWait);
      expect(writable, "onWritable must not come from within send").toBe(0);
      await eventually(() => {
        expect(writable).toBe(1);
      });
      expect(backend.send(harness.frameFromGuest(sent % 10_000))).toBe(SendStatus.taken);
      sent++;
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toHaveLength(sent);
      });
      expect(harness.arrivedFromGuest()).toEqual(range(0, sent).map((index) => index % 10_000));
      expect(writable).toBe(1);
      expect(backend.statistics().droppedFromGuest).toBe(0);
    });

    test("of a batch says where to come back, and no frame is lost or doubled", async (harness) => {
      const { backend } = harness;
      if (harness.neverWaits) return;
      let writable = 0;
      backend.callbacks = {
        onFrames: () => undefined,
        onWritable: () => {
          writable++;
        },
      };
      const size = 1000;
      const frames = guestFrames(harness, 0, size);
      const whole = batchOf(frames);
      let batches = 0;
      let result = { ...backend.sendBatch(whole) };
      while (result.status === SendStatus.taken && batches < 200) {
        batches++;
        result = { ...backend.sendBatch(whole) };
      }
      expect(result.status).toBe(SendStatus.mustWait);
      expect(result.consumed).toBeLessThan(size);
      let rest = frames.slice(result.consumed);
      while (rest.length > 0) {
        const due = writable + 1;
        await eventually(() => {
          expect(writable).toBeGreaterThanOrEqual(due);
        });
        result = { ...backend.sendBatch(batchOf(rest)) };
        rest = rest.slice(result.consumed);
        if (result.status === SendStatus.taken) break;
      }
      const expected = (batches + 1) * size;
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toHaveLength(expected);
      });
      expect(harness.arrivedFromGuest()).toEqual(range(0, expected).map((index) => index % size));
    });
  });
}
