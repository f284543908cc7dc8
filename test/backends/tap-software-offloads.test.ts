/**
 * TCP of two kernels over a network that knows no offloads, with offloads in software before it at both ends: the kernels' TAPs give and
 * take long frames, and between them there are none.
 */
import { expect } from "vitest";
import { withOffloads } from "../../src/backends/offloading-backend.js";
import { BackendCable } from "../../src/nics/backend-cable.js";
import { createBackendPair } from "../support/backend-pair.js";
import { describeTap, TapWorld } from "../support/describe-tap.js";
import { FrameWatch } from "../support/frame-watch.js";
import { transferByKernel } from "../support/kernel-transfer.js";

const MEGABYTES = 8;
const MTU = 1500;

describeTap("TCP of the kernel through offloads in software", (test) => {
  for (const [family, host] of [
    [4, "10.0.5.2"],
    [6, "fd00:5::2"],
  ] as const) {
    test(`is cut at one end and joined at the other, over IPv${String(family)}`, async (world) => {
      const other = await TapWorld.create();
      try {
        for (const { namespace } of [world, other]) {
          const conf = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
          await namespace.run("sh", "-c", `echo 0 > ${conf}`);
        }
        const client = await world.open({ addresses: ["10.0.5.1/24", "fd00:5::1/64"] });
        const server = await other.open({ addresses: ["10.0.5.2/24", "fd00:5::2/64"] });
        // Little room in the middle: long frames have to wait when some of their parts have gone.
        const { near, far } = createBackendPair({ maxFrames: 100, maxBytes: 2 ** 20 });
        const [before, behind] = [withOffloads(near), withOffloads(far)];
        const cables = [new BackendCable(server, before), new BackendCable(behind, client)];
        const sent = FrameWatch.on(server);
        const between = FrameWatch.on(far, 0);
        const joined = FrameWatch.on(behind);
        const transfer = { server: other.namespace, client: world.namespace, host, port: 5000 };
        const answer = await transferByKernel({ ...transfer, megabytes: MEGABYTES });
        expect(answer).toMatch(new RegExp(`^${String(MEGABYTES << 20)} `));
        expect(sent.longest).toBeGreaterThan(20_000);
        expect(sent.unfinished).toBeGreaterThan(0);
        expect(between.longest).toBeLessThanOrEqual(MTU + 14);
        expect(joined.longest).toBeGreaterThan(2 * MTU);
        expect(joined.unfinished).toBeGreaterThan(0);
        const none = { droppedFromGuest: 0, droppedToGuest: 0 };
        expect([before.statistics(), behind.statistics()]).toMatchObject([none, none]);
        for (const cable of cables) cable.close();
      } finally {
        await other.close();
      }
    });
  }
});
