/** Offloads of TAP instances, switched at run time: what that does to the frames of a kernel's TCP. */
import { expect } from "vitest";
import { TapInstances } from "../../src/tap.js";
import { describeTap, type TapWorld } from "../support/describe-tap.js";
import { FrameWatch } from "../support/frame-watch.js";
import {
  EXPECTED_FETCH,
  withKernelCable,
  type KernelCable,
  type OpenQueues,
} from "../support/kernel-cable.js";

describeTap("offloads of a TAP instance that are switched", (test) => {
  for (const queues of [1, 2]) {
    test(`change its frames and not the other switch, with ${String(queues)} queue(s)`, async (world: TapWorld) => {
      await using taps = new TapInstances();
      const create: OpenQueues = async ({ namespace }, options) =>
        (await taps.create({ ...options, namespace: namespace.path, vhost: false, id: 7 })).queues;
      const use = async ({ near, fetch }: KernelCable): Promise<void> => {
        const look = async (): Promise<{ isLong: boolean; isUnfinished: boolean }> => {
          const before = near.map(({ callbacks }) => callbacks);
          const watches = near.map((queue) => FrameWatch.on(queue));
          expect(await fetch()).toBe(EXPECTED_FETCH);
          near.forEach((queue, i) => (queue.callbacks = before[i]));
          return {
            isLong: watches.some(({ longest }) => longest > 1514),
            isUnfinished: watches.some(({ unfinished }) => unfinished > 0),
          };
        };
        expect(await look()).toEqual({ isLong: true, isUnfinished: true });
        taps.switchOffloads(7, { segmentation: false });
        expect(await look()).toEqual({ isLong: false, isUnfinished: true });
        taps.switchOffloads(7, { checksum: false });
        expect(await look()).toEqual({ isLong: false, isUnfinished: false });
        taps.switchOffloads(7, { segmentation: true });
        expect(await look(), "no segments without sums").toEqual({
          isLong: false,
          isUnfinished: false,
        });
        taps.switchOffloads(7, { checksum: true });
        expect(await look()).toEqual({ isLong: true, isUnfinished: true });
        for (const queue of near) expect(queue.statistics().droppedToGuest).toBe(0);
      };
      await withKernelCable(world, { mtuBytes: 1500, queues }, use, {
        openNear: create,
        servesFrom: "near",
      });
    });
  }
});
