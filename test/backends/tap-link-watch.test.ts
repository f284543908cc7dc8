/**
 * More changes than the kernel keeps messages for: what the last of them was is known nevertheless.
 */
import { execFileSync } from "node:child_process";
import { expect } from "vitest";
import type { LinkState } from "../../src/backends/tap-link-watch.js";
import type { TapBackend } from "../../src/tap.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";

/** Each is a message of more than a kilobyte; a socket has room for about 200 KiB. */
const CHANGES = 1500;

/** Changes the interface again and again while this process does nothing else, then as is said. */
function changeOften(world: TapWorld, first: string, last: string): void {
  const changes = Array.from(
    { length: CHANGES },
    (_, i) => `link set tap0 mtu ${String(1300 + (i % 2))}`,
  );
  const [program, words] = world.namespace.command("ip", "-batch", "-");
  execFileSync(program, words, { input: [first, ...changes, last].join("\n") });
}

/** Whether sockets of the namespace have lost messages. */
async function hasLostMessages(world: TapWorld): Promise<boolean> {
  const [, ...lines] = (await world.namespace.run("cat", "/proc/net/netlink")).trim().split("\n");
  return lines.some((line) => Number(line.trim().split(/\s+/)[8]) > 0);
}

async function openWatched(world: TapWorld): Promise<[TapBackend, LinkState[]]> {
  const tap = await world.openUp("tap0");
  expect(tap.linkState).toBe("up");
  const states: LinkState[] = [];
  tap.onLinkChange = (state) => states.push(state);
  return [tap, states];
}

describeTap("an interface that changes more often than messages tell", (test) => {
  test("is in the state that it has at last, and later changes are told", async (world) => {
    const [tap, states] = await openWatched(world);
    changeOften(world, "link set tap0 down", "link set tap0 up");
    expect(await hasLostMessages(world)).toBe(true);
    await waitUntil("it is known to be up", () => tap.linkState === "up");
    await world.namespace.ip("link set tap0 down");
    await waitUntil("it is told to be down", () => states.at(-1) === "down");
    expect(states.filter((state) => state === "deleted")).toEqual([]);
  });

  test("does not stay what it was in the messages that were kept", async (world) => {
    const [tap, states] = await openWatched(world);
    changeOften(world, "link set tap0 down", "link set tap0 up");
    expect(await hasLostMessages(world)).toBe(true);
    // A change that says nothing of the interface comes after all that was kept.
    const other = await world.openUp("tap1");
    await waitUntil("the other is known to be up", () => other.linkState === "up");
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    expect(tap.linkState).toBe("up");
    expect(states.at(-1) ?? "up").toBe("up");
  });

  test("is known to be deleted", async (world) => {
    const [tap, states] = await openWatched(world);
    const errors: Error[] = [];
    tap.callbacks = { onFrames: () => undefined, onError: (error) => errors.push(error) };
    changeOften(world, "link set tap0 down", "link delete tap0");
    await waitUntil("it is told to be deleted", () => states.at(-1) === "deleted");
    expect(tap.linkState).toBe("deleted");
    expect(errors).toHaveLength(1);
  });
});
