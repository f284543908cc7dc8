/**
 * What happens to a TAP while it is open: its link goes down, it is deleted, moved, its thread ends, its reader does what it should not.
 */
import { execFile, spawn } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { expect } from "vitest";
import { SendStatus, type FrameBatch } from "../../src/backend.js";
import { ErrorCode } from "../../src/errors.js";
import type { LinkState, TapBackend } from "../../src/tap.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";
import { framesOf, GUEST_MAC, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { NetworkNamespace } from "../support/network-namespace.js";

const run = promisify(execFile);
const ENTRY = new URL("../../dist/tap.js", import.meta.url).href;

/** Two TAPs in a bridge. */
async function openPair(world: TapWorld, mtu = 1500): Promise<[near: TapBackend, far: TapBackend]> {
  await world.namespace.ip(`
    link add bridge0 type bridge mcast_snooping 0 forward_delay 0
    link set bridge0 up`);
  const options = { bridge: "bridge0", mtuBytes: mtu };
  return [
    await world.open({ name: "near0", ...options }),
    await world.open({ name: "far0", ...options }),
  ];
}

const towardsGuest = (index: number, length = 60): Uint8Array =>
  numberedFrame(index, { source: NETWORK_MAC, destination: GUEST_MAC, length });

/** Collects what comes; answers the list. */
function collect(tap: TapBackend): { frames: Uint8Array[]; errors: Error[]; links: LinkState[] } {
  const seen = { frames: [] as Uint8Array[], errors: [] as Error[], links: [] as LinkState[] };
  tap.onLinkChange = (state) => seen.links.push(state);
  tap.callbacks = {
    onFrames: (batch) => seen.frames.push(...framesOf(batch)),
    onError: (error) => seen.errors.push(error),
  };
  return seen;
}

function countTuns(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes("net/tun");
    } catch {
      return false;
    }
  }).length;
}

describeTap("the link of a TAP", (test) => {
  test("is told of when it goes up and down, and frames are dropped, not lost in silence", async (world) => {
    const tap = await world.open({ name: "tap0" });
    const seen = collect(tap);
    expect(tap.linkState).toBe("down");
    expect(tap.send(towardsGuest(1)), "no network is there").toBe(SendStatus.dropped);
    await world.namespace.ip("link set tap0 up");
    await waitUntil("it is up", () => tap.linkState === "up");
    expect(tap.send(towardsGuest(1))).toBe(SendStatus.taken);
    await world.namespace.ip("link set tap0 down");
    await waitUntil("it is down", () => tap.linkState === "down");
    expect(tap.send(towardsGuest(1))).toBe(SendStatus.dropped);
    expect(seen.links).toEqual(["up", "down"]);
    expect(seen.errors).toEqual([]);
    expect(tap.statistics()).toMatchObject({ framesFromGuest: 1, droppedFromGuest: 2 });
  });

  for (const receiving of [true, false]) {
    test(`may be deleted ${receiving ? "while" : "before"} frames are read: one error, no crash`, async (world) => {
      const tap = await world.open({ name: "tap0", up: true });
      const seen = collect(tap);
      if (receiving) tap.enableReceive();
      await world.namespace.ip("link delete tap0");
      await waitUntil("the error is told", () => seen.errors.length > 0);
      expect(tap.send(towardsGuest(1))).toBe(SendStatus.dropped);
      if (receiving) tap.disableReceive();
      expect(tap.peek()).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(seen.errors).toHaveLength(1);
      expect(seen.errors[0]).toMatchObject({
        code: ErrorCode.deviceFailed,
        message: /tap0 is gone/,
      });
      expect(seen.links.at(-1)).toBe("deleted");
      await tap.close();
    });
  }

  test("may be renamed and moved to another namespace: frames go on", async (world) => {
    const tap = await world.open({ name: "tap0", up: true });
    const seen = collect(tap);
    tap.enableReceive();
    await using elsewhere = await NetworkNamespace.create();
    await world.namespace.ip(`
      link set tap0 down
      link set tap0 name blue0
      link set blue0 netns ${String(elsewhere.pid)}`);
    await elsewhere.ip(`
      link set blue0 up
      address add 10.0.5.1/24 dev blue0
      neighbour add 10.0.5.2 lladdr 52:54:00:12:34:56 dev blue0`);
    await waitUntil("it is up there", () => tap.linkState === "up");
    await elsewhere.run("bash", "-c", "echo hello > /dev/udp/10.0.5.2/9");
    await waitUntil("a frame comes", () => seen.frames.length > 0);
    expect(seen.errors).toEqual([]);
    expect(seen.links).not.toContain("deleted");
  });
});

describeTap("frames of a TAP", (test) => {
  for (const headerLength of [0, 12] as const) {
    test(`may be the longest there are, with a header of ${String(headerLength)}`, async (world) => {
      const [near, far] = await openPair(world, 65_521);
      near.setCapabilities(0n, headerLength);
      const seen = collect(near);
      near.enableReceive();
      const longest = towardsGuest(1, 65_521 + 14);
      expect(far.send(longest)).toBe(SendStatus.taken);
      await waitUntil("it is there", () => seen.frames.length > 0);
      expect(seen.frames[0]?.length).toBe(headerLength + longest.length);
      expect(seen.frames[0]?.subarray(headerLength)).toEqual(longest);
      near.disableReceive();
      far.send(longest);
      await waitUntil("it can be looked at", () => near.peek() === headerLength + longest.length);
    });
  }

  test("that are many leave the event loop to others in between", async (world) => {
    const [near, far] = await openPair(world);
    await world.namespace.ip("link set near0 txqueuelen 5000");
    let inTurn = 0;
    let most = 0;
    let count = 0;
    near.callbacks = {
      onFrames: (batch: FrameBatch) => {
        if (inTurn === 0) setImmediate(() => (inTurn = 0));
        inTurn += batch.count;
        count += batch.count;
        most = Math.max(most, inTurn);
        expect(batch.count).toBeLessThanOrEqual(64);
      },
    };
    for (let i = 0; i < 3000; i++) {
      while (far.send(towardsGuest(i)) === SendStatus.mustWait) {
        await new Promise<void>(
          (resolve) => (far.callbacks = { onFrames() {}, onWritable: resolve }),
        );
      }
    }
    near.enableReceive();
    await waitUntil("all are there", () => count === 3000);
    expect(most).toBeLessThanOrEqual(4 * 64);
  });

  test("that were taken away with their memory are an error, not a wild pointer", async (world) => {
    const [near, far] = await openPair(world);
    const errors: Error[] = [];
    near.callbacks = {
      onFrames: (batch) => {
        const { buffer } = batch.bytes;
        structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
      },
      onError: (error) => errors.push(error),
    };
    near.enableReceive();
    far.send(towardsGuest(1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    far.send(towardsGuest(2));
    await waitUntil("it is told", () => errors.length > 0);
    expect(errors[0]).toMatchObject({ code: ErrorCode.deviceFailed });
  });

  test("in more pieces than a system call takes are one frame", async (world) => {
    const [near, far] = await openPair(world);
    const seen = collect(far);
    far.enableReceive();
    const frame = numberedFrame(7, { length: 1514 });
    for (const headerLength of [0, 12] as const) {
      near.setCapabilities(0n, headerLength);
      const framed = new Uint8Array([...new Uint8Array(headerLength), ...frame]);
      const pieces = Array.from(framed, (_, i) => framed.subarray(i, i + 1));
      expect(near.sendGathered(pieces)).toBe(SendStatus.taken);
      expect(near.sendGathered(pieces.slice(0, 64))).toBe(SendStatus.taken);
    }
    await waitUntil("all are there", () => seen.frames.length === 4);
    expect(seen.frames[0]).toEqual(frame);
    expect(seen.frames[2]).toEqual(frame);
  });
});

/** Runs a script with the entry imported, in the namespace; its exit status and output. */
async function runScript(
  world: TapWorld,
  script: string,
): Promise<{ status: number; output: string }> {
  const text = `import { openTap } from ${JSON.stringify(ENTRY)};
    const tap = await openTap({ name: "tap0", up: true });
    ${script}`;
  const [program, args] = world.namespace.command(
    process.execPath,
    "--input-type=module",
    "-e",
    text,
  );
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => (output += data.toString()));
  }
  return new Promise((resolve) => {
    child.on("close", (status) => {
      resolve({ status: status ?? -1, output });
    });
  });
}

/** The kernel sends something on its own account: an IPv6 address makes it ask for routers. */
const MAKE_NOISE = `
  import { execFileSync } from "node:child_process";
  execFileSync("sh", ["-c", "ip address add 10.0.5.1/24 dev tap0; ip neighbour add 10.0.5.2 lladdr 52:54:00:12:34:56 dev tap0"]);
  execFileSync("bash", ["-c", "for i in 1 2 3; do echo hello > /dev/udp/10.0.5.2/9; done"]);`;

describeTap("a process with an open TAP", (test) => {
  test("ends when nothing else is to be done and the TAP does not count", async (world) => {
    const script = "tap.callbacks = { onFrames() {} }; tap.enableReceive(); tap.unref();";
    expect(await runScript(world, script)).toEqual({ status: 0, output: "" });
  });

  test("ends when nobody receives", async (world) => {
    expect(await runScript(world, "")).toEqual({ status: 0, output: "" });
  });

  test("may exit from within a callback", async (world) => {
    const script = `${MAKE_NOISE}
      tap.callbacks = { onFrames() { console.log("frames"); process.exit(7); } };
      tap.enableReceive();`;
    expect(await runScript(world, script)).toEqual({ status: 7, output: "frames\n" });
  });

  test("is told of what a callback throws as of any uncaught error, and may go on", async (world) => {
    const script = `${MAKE_NOISE}
      let thrown = 0;
      process.on("uncaughtException", (error) => {
        console.log(error.message);
        if (++thrown === 1) setTimeout(() => tap.close().then(() => console.log("closed")), 20);
      });
      tap.callbacks = { onFrames() { throw new Error("my own fault"); } };
      tap.enableReceive();`;
    const { status, output } = await runScript(world, script);
    expect(output).toMatch(/^(my own fault\n)+closed\n$/);
    expect(status).toBe(0);
  });

  test("may lose it to garbage collection only after it is closed", async (world) => {
    const script = `${MAKE_NOISE}
      const { setFlagsFromString } = await import("node:v8");
      setFlagsFromString("--expose-gc");
      const { runInNewContext } = await import("node:vm");
      const gc = runInNewContext("gc");
      let frames = 0;
      (() => {
        tap.callbacks = { onFrames(batch) { frames += batch.count; void tap.close(); } };
        tap.enableReceive();
      })();
      gc();
      while (frames === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      console.log("done");`;
    expect(await runScript(world, script)).toEqual({ status: 0, output: "done\n" });
  });
});

describeTap("a worker with an open TAP", (test) => {
  const code = (namespace: string): string => `
    const { parentPort } = require("node:worker_threads");
    import(${JSON.stringify(ENTRY)}).then(async ({ openTap }) => {
      const tap = await openTap({ name: "tap%d", up: true, namespace: ${JSON.stringify(namespace)} });
      let frames = 0;
      tap.callbacks = { onFrames(batch) { frames += batch.count; parentPort.postMessage(frames); } };
      tap.enableReceive();
      parentPort.postMessage(tap.interfaceName);
    });`;

  test("may be terminated at any time: the device is closed, and others go on", async (world) => {
    const before = countTuns();
    const survivor = await world.open({ name: "stays0", up: true });
    for (let round = 0; round < 10; round++) {
      const worker = new Worker(code(world.namespace.path), { eval: true });
      const name = await new Promise<string>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await world.namespace.run(
        ...["bash", "-c"],
        `ip address add 10.0.9.1/24 dev ${name}; ip neighbour add 10.0.9.2 lladdr 52:54:00:12:34:56 dev ${name};
         for i in 1 2 3 4; do echo hello > /dev/udp/10.0.9.2/9; done`,
      );
      if (round % 2 === 0) await new Promise((resolve) => worker.once("message", resolve));
      await worker.terminate();
      expect(countTuns()).toBe(before + 1);
    }
    expect(await world.namespace.run("ip", "-o", "link")).not.toMatch(/tap\d/);
    expect(survivor.send(towardsGuest(1))).toBe(SendStatus.taken);
  });
});

describeTap("closing a TAP", (test) => {
  test("again does nothing, and gives everything back", async (world) => {
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 100; round++) {
      const tap = await world.open({ name: "tap0" });
      tap.callbacks = { onFrames: () => undefined };
      if (round % 2 === 0) tap.enableReceive();
      await Promise.all([tap.close(), tap.close()]);
      await tap.close();
    }
    expect(readdirSync("/proc/self/fd").length).toBe(before);
    const { stdout } = await run("true");
    expect(stdout).toBe("");
  });
});
