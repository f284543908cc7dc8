/**
 * Offloads of a TAP with several queues: the device has one set, which is what all queues in use have agreed on.
 */
import { expect } from "vitest";
import type { TapBackend } from "../../src/tap.js";
import { VirtioNetFeature as Feature } from "../../src/virtio-net.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";
import { framesOf } from "../support/frames.js";
import { FrameWatch } from "../support/frame-watch.js";
import { EXPECTED_FETCH, FAR, withKernelCable } from "../support/kernel-cable.js";

/** Flows of which the kernel's hash gives each of two queues some. */
const FLOWS = 24;

interface Opened {
  readonly queues: readonly [TapBackend, TapBackend];
  /** Sends datagrams of many flows; answers which flags were in the headers at each queue. */
  readonly flagsSeen: () => Promise<number[][]>;
}

async function openPair(world: TapWorld): Promise<Opened> {
  const addresses = { addresses: ["10.0.5.1/24"] };
  const opened = await world.openQueues({ name: "tap0", queues: 2, ...addresses });
  const queues = opened as [TapBackend, TapBackend];
  await world.namespace.ip("neighbour add 10.0.5.2 lladdr 52:54:00:12:34:56 dev tap0");
  const flags: number[][] = [[], []];
  queues.forEach((queue, i) => {
    queue.setCapabilities(0n, 12);
    queue.callbacks = {
      onFrames: (batch) => {
        flags[i]!.push(...framesOf(batch).map(([first = NaN]) => first));
      },
    };
    queue.enableReceive();
  });
  const flagsSeen = async (): Promise<number[][]> => {
    for (const list of flags) list.length = 0;
    const script = `for port in $(seq 1 ${String(FLOWS)}); do echo hello > /dev/udp/10.0.5.2/$port; done`;
    await world.namespace.run("bash", "-c", script);
    await waitUntil("all are there", () => flags.flat().length >= FLOWS);
    return flags.map((list) => [...new Set(list)]);
  };
  return { queues, flagsSeen };
}

describeTap("offloads of several queues", (test) => {
  test("are what all of them have agreed on", async (world) => {
    const { queues, flagsSeen } = await openPair(world);
    const [first, second] = queues;
    expect(await flagsSeen()).toEqual([[0], [0]]);
    first.setCapabilities(Feature.guestChecksum, 12);
    expect(await flagsSeen(), "one alone").toEqual([[0], [0]]);
    second.setCapabilities(Feature.guestChecksum, 12);
    expect(await flagsSeen(), "both").toEqual([[1], [1]]);
    second.setCapabilities(0n, 12);
    expect(await flagsSeen(), "one gave it up").toEqual([[0], [0]]);
    for (const queue of queues) expect(queue.statistics().droppedToGuest).toBe(0);
  });

  test("stay as they are when a queue is asked what it can, for the first time or again", async (world) => {
    const { queues, flagsSeen } = await openPair(world);
    for (const queue of queues) queue.setCapabilities(Feature.guestChecksum, 12);
    for (const queue of queues) {
      expect(queue.capabilities(12)).toBe(queues[0].capabilities(12));
      expect(queue.capabilities(10) & Feature.guestTso4).not.toBe(0n);
    }
    expect(await flagsSeen()).toEqual([[1], [1]]);
  });

  test("do not mind a queue that is out of the device, until it is put back", async (world) => {
    const { queues, flagsSeen } = await openPair(world);
    const [first, second] = queues;
    second.setQueueEnabled(false);
    first.setCapabilities(Feature.guestChecksum, 12);
    expect(await flagsSeen()).toEqual([[1], []]);
    second.setQueueEnabled(true);
    expect(await flagsSeen(), "it has agreed on nothing").toEqual([[0], [0]]);
    second.setQueueEnabled(false);
    second.setCapabilities(Feature.guestChecksum, 12);
    second.setQueueEnabled(true);
    expect(await flagsSeen(), "it has, while it was out").toEqual([[1], [1]]);
    await second.close();
    first.setCapabilities(Feature.guestChecksum, 12);
    expect(await flagsSeen(), "one is left").toEqual([[1], []]);
  });

  test("are switched at run time on all of them", async (world) => {
    const { queues, flagsSeen } = await openPair(world);
    for (const queue of queues) queue.setCapabilities(Feature.guestChecksum, 12);
    queues[1].device.switchOffloads({ checksum: false });
    expect(await flagsSeen(), "one is switched off").toEqual([[0], [0]]);
    queues[1].device.switchOffloads({ checksum: true });
    expect(await flagsSeen()).toEqual([[1], [1]]);
  });
});

describeTap("TCP of the kernel over two queues with offloads", (test) => {
  for (const host of [FAR[4], FAR[6]]) {
    test(`to ${host} comes whole, in long frames over each of them`, async (world) => {
      const options = { mtuBytes: 1500, queues: 2 };
      await withKernelCable(world, options, async ({ near, far, fetch }) => {
        const watches = [...near, ...far].map((queue) => FrameWatch.on(queue));
        const usesAll = (): boolean => watches.slice(2).every(({ longest }) => longest > 20_000);
        // Each connection has the queue that the kernel's hash gives it.
        for (let flows = 0; flows < FLOWS && !usesAll(); flows += 3) {
          const fetched = await Promise.all([fetch(host), fetch(host), fetch(host)]);
          expect(fetched).toEqual([EXPECTED_FETCH, EXPECTED_FETCH, EXPECTED_FETCH]);
        }
        expect(usesAll(), "both queues carried long frames").toBe(true);
        for (const { unfinished } of watches.slice(2)) expect(unfinished).toBeGreaterThan(0);
        for (const queue of [...near, ...far]) {
          expect(queue.statistics().droppedFromGuest).toBe(0);
        }
      });
    });
  }
});
