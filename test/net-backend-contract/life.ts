/**
 * Contract of NetBackend: what callbacks may do, and the end.
 */
import { describe, expect } from "vitest";
import { SendStatus, type NetBackend } from "../../src/backend.js";
import { ErrorCode } from "../../src/errors.js";
import { batchOf } from "../support/frames.js";
import { eventually, PushedFrames, settle, type ContractTest } from "./harness.js";

/** Every call but `close`. */
const CALLS: Record<string, (backend: NetBackend) => unknown> = {
  send: (backend) => backend.send(new Uint8Array(60)),
  sendGathered: (backend) => backend.sendGathered([new Uint8Array(60)]),
  sendBatch: (backend) => backend.sendBatch(batchOf([new Uint8Array(60)])),
  enableReceive: (backend) => {
    backend.enableReceive();
  },
  disableReceive: (backend) => {
    backend.disableReceive();
  },
  peek: (backend) => backend.peek(),
  receive: (backend) => backend.receive(new Uint8Array(2000)),
  capabilities: (backend) => backend.capabilities(0),
  setCapabilities: (backend) => {
    backend.setCapabilities(0n, 0);
  },
  statistics: (backend) => backend.statistics(),
};

function describeCallbacks(test: ContractTest): void {
  describe("a callback", () => {
    test("may send; the frame goes out after the callback", async (harness) => {
      const { backend } = harness;
      const pushed = new PushedFrames();
      const statuses: SendStatus[] = [];
      const arrivedWithin: number[] = [];
      pushed.onBatch = () => {
        statuses.push(backend.send(harness.frameFromGuest(1234)));
        arrivedWithin.push(harness.arrivedFromGuest().length);
        pushed.onBatch = undefined;
      };
      backend.callbacks = pushed.callbacks;
      backend.enableReceive();
      const expected = await harness.provokeFrames(3, 0);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([1234]);
      });
      expect(statuses).toEqual([SendStatus.taken]);
      expect(arrivedWithin, "the network has not seen it within the callback").toEqual([0]);
      await eventually(() => {
        expect(pushed.frames).toEqual(expected);
      });
    });

    test("may disable receiving: no further one comes", async (harness) => {
      const { backend } = harness;
      const pushed = new PushedFrames();
      pushed.onBatch = () => {
        backend.disableReceive();
      };
      backend.callbacks = pushed.callbacks;
      backend.enableReceive();
      const first = await harness.provokeFrames(1, 0);
      await eventually(() => {
        expect(pushed.frames).toEqual(first);
      });
      const second = await harness.provokeFrames(2, 0);
      await settle();
      expect(pushed.batches).toBe(1);
      expect(backend.peek()).toBe(second[0]?.length);
    });

    test("may close: no further one comes", async (harness) => {
      const { backend } = harness;
      const pushed = new PushedFrames();
      let closing: Promise<void> | undefined;
      pushed.onBatch = () => {
        closing = backend.close();
      };
      backend.callbacks = pushed.callbacks;
      backend.enableReceive();
      await harness.provokeFrames(1, 0);
      await eventually(() => {
        expect(closing).toBeDefined();
      });
      await closing;
      await settle();
      expect(pushed.batches).toBe(1);
      expect(() => backend.peek()).toThrow(expect.objectContaining({ code: ErrorCode.closed }));
    });
  });
}

/** Registers the tests. */
export function describeLife(test: ContractTest): void {
  describeCallbacks(test);

  test("has a name", ({ backend }) => {
    expect(backend.name).not.toBe("");
  });

  test("starts with all counters at 0, and a snapshot of them stays as it is", (harness) => {
    const { backend } = harness;
    const before = backend.statistics();
    expect(Object.values(before)).toEqual([0, 0, 0, 0, 0, 0]);
    backend.send(harness.frameFromGuest(0));
    expect(before.framesFromGuest).toBe(0);
    expect(backend.statistics().framesFromGuest).toBe(1);
  });

  describe("after close", () => {
    for (const [name, call] of Object.entries(CALLS)) {
      test(`${name} throws "closed"`, async ({ backend }) => {
        await backend.close();
        expect(() => call(backend)).toThrow(expect.objectContaining({ code: ErrorCode.closed }));
      });
    }

    test("no callback comes, not even for frames on their way", async (harness) => {
      const { backend } = harness;
      const pushed = new PushedFrames();
      let others = 0;
      const count = (): void => {
        others++;
      };
      await harness.provokeFrames(3, 0);
      backend.callbacks = { ...pushed.callbacks, onWritable: count, onError: count };
      backend.enableReceive();
      const batchesBefore = pushed.batches;
      await backend.close();
      expect(pushed.batches - batchesBefore, "what came, came before the end").toBeLessThanOrEqual(
        1,
      );
      const batches = pushed.batches;
      await settle();
      expect(pushed.batches).toBe(batches);
      expect(others).toBe(0);
    });

    test("close and disposal may be called again", async ({ backend }) => {
      const first = backend.close();
      const second = backend.close();
      await Promise.all([first, second]);
      await backend.close();
      await backend[Symbol.asyncDispose]();
    });
  });

  test("disposal closes", async ({ backend }) => {
    await backend[Symbol.asyncDispose]();
    expect(() => backend.peek()).toThrow(expect.objectContaining({ code: ErrorCode.closed }));
  });
}
