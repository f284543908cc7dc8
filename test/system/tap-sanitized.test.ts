/** The addon for TAPs under the sanitizers: its suites, worker threads and ends of processes among them. */
import { expect } from "vitest";
import { describeSanitized } from "../support/describe-sanitized.js";
import { whyNoTap, whyNoVhost } from "../support/network-namespace.js";

const SUITES = [
  "frame-port",
  "tap-addon",
  "tap-headers",
  "tap-helper",
  "tap-life",
  "tap-offloads",
  "tap-opening",
  "tap-queues",
  "tap-vhost",
].map((name) => `test/backends/${name}.test.ts`);

/** The rings have sanitizers in a suite of their own (test/backends/vring.test.ts); the rest takes a kernel that has vhost-net. */
const OF_VHOST = ["vring.c", "vhost-device.c", "vhost-transport.c"];

describeSanitized(
  ["tap"],
  {
    missing: whyNoTap(),
    suites: SUITES,
    called: ["tap"],
    exempt: whyNoVhost() === undefined ? [] : OF_VHOST,
  },
  (test) => {
    test("leaks nothing of its own", async (build) => {
      const script = `
      const { openTap } = await import("./dist/tap.js");
      for (let round = 0; round < 20; round++) {
        const tap = await openTap({ name: "tap0", up: true });
        tap.callbacks = { onFrames() {} };
        tap.enableReceive();
        await tap.close();
      }
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      console.log("done");`;
      const ended = await build.runForLeaks(script, "unshare", "--net");
      expect(ended.stdout).toBe("done\n");
      expect(build.ownReports).toEqual([]);
    });
  },
);
