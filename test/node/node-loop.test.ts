import { describe, expect, it, vi } from "vitest";
import { NodeLoop } from "../../src/node/node-loop.js";
import { nextTick } from "../host-network-contract/stack-side.js";

describe("the loop that a network's sockets share", () => {
  it("arms a timer beyond setTimeout's limit once, not over and over", async () => {
    const loop = new NodeLoop();
    const armed = vi.spyOn(globalThis, "setTimeout");
    const timer = loop.setTimer(() => expect.unreachable("a timer of 34 years"), 2 ** 40, true);
    // Long enough for a timer that Node took for 1 ms.
    for (const start = performance.now(); performance.now() - start < 20;) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(armed).toHaveBeenCalledTimes(1);
    armed.mockRestore();
    timer.cancel();
    await loop.close(0);
  });

  it("flushes all streams of a turn together, each once", async () => {
    const loop = new NodeLoop();
    const flushed: string[] = [];
    loop.flushSoon({ length: 1, flush: () => flushed.push("one") });
    loop.flushSoon({ length: 100_000, flush: () => flushed.push("two") });
    expect(flushed).toEqual([]);
    await nextTick();
    expect(flushed).toEqual(["one", "two"]);
    await nextTick();
    expect(flushed).toHaveLength(2);
    await loop.close(0);
  });

  it("flushes what is short at the end of a turn, and the rest after it", async () => {
    const loop = new NodeLoop();
    const flushed: string[] = [];
    loop.flushSoon({ length: 100_000, flush: () => flushed.push("long") });
    const short = { length: 10, flush: () => flushed.push("short") };
    loop.flushSoon(short);
    loop.flushShort();
    expect(flushed).toEqual(["short"]);
    short.length = 0;
    loop.flushShort();
    expect(flushed).toEqual(["short"]);
    await nextTick();
    expect(flushed).toContain("long");
    await loop.close(0);
  });

  it("aborts at the deadline what does not end by itself, and waits for it", async () => {
    const loop = new NodeLoop();
    const calls: string[] = [];
    const resource = {
      setRef: (hold: boolean) => void calls.push(`setRef ${String(hold)}`),
      close: () => void calls.push("close"),
      abort: () => {
        calls.push("abort");
        setTimeout(() => loop.remove(resource), 10);
      },
    };
    loop.setRef(false);
    loop.add(resource);
    await loop.close(20);
    expect(calls).toEqual(["setRef false", "close", "abort"]);
  });
});
