/**
 * iperf3 over the kernel's TCP and UDP as guest, through a TAP and our stack: both directions, both IP versions, small and large MTU, with
 * and without offloads. What is checked is that all bytes go through, and in frames of the kind that was agreed on.
 */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { FrameWatch } from "../support/frame-watch.js";
import { IperfServer, onHost, runIperf, whyNoIperf, type IperfResult } from "../support/iperf.js";
import { whyNoTap } from "../support/network-namespace.js";
import { GATEWAYS, GUESTS, TapGuest } from "../support/tap-guest.js";

const MISSING = whyNoTap() ?? whyNoIperf();
const MEBIBYTE = 2 ** 20;
/** What one stream carries, at least: iperf3 sends whole blocks. */
const STREAM_BYTES = 24 * MEBIBYTE;
/** At the end iperf3 does not wait for what is still in the kernels' buffers. */
const RECEIVED_BYTES = STREAM_BYTES / 2;
let servers: Record<4 | 6, IperfServer>;

if (MISSING !== undefined) {
  it("iperf3 through a TAP and a stack", (ctx) => {
    ctx.skip(MISSING);
  });
}

describe.runIf(MISSING === undefined)("iperf3 through a TAP and a stack", () => {
  let guest: TapGuest | undefined;

  beforeAll(async () => {
    servers = { 4: await IperfServer.start("127.0.0.1"), 6: await IperfServer.start("::1") };
    return async () => {
      await servers[4].close();
      await servers[6].close();
    };
  });

  afterEach(async () => {
    await guest?.close();
    guest = undefined;
  });

  function run({ command }: TapGuest, family: 4 | 6, ...words: string[]): Promise<IperfResult> {
    return runIperf(command, GATEWAYS[family], servers[family].port, ...words);
  }

  const sizes = [1500, 9000, 65_520];
  const cases = sizes.flatMap((mtu) => [true, false].map((offloads) => ({ mtu, offloads })));

  it.each(cases)("carries TCP at MTU $mtu, offloads: $offloads", async ({ mtu, offloads }) => {
    guest = await TapGuest.create({ mtuBytes: mtu, vnetHeader: offloads });
    const { tap, slirp } = guest;
    const header = offloads ? 12 : 0;
    const watches = [FrameWatch.on(tap, header), FrameWatch.on(slirp, header)];
    for (const family of [4, 6] as const) {
      for (const direction of [[], ["--reverse"], ["--bidir"]]) {
        const what = `IPv${String(family)} ${direction.join("")}`;
        const result = await run(guest, family, "--bytes", String(STREAM_BYTES), ...direction);
        expect(result.error, what).toBeUndefined();
        const { sum_sent: sent, sum_received: received } = result.end;
        expect(sent.bytes, what).toBeGreaterThanOrEqual(STREAM_BYTES);
        expect(received.bytes, what).toBeGreaterThanOrEqual(RECEIVED_BYTES);
        expect(received.bytes, what).toBeLessThanOrEqual(sent.bytes);
      }
    }
    for (const { longest, unfinished } of watches) {
      expect(unfinished > 0).toBe(offloads);
      // The MTU is made use of, and kept to by frames that nobody cuts any more.
      expect(longest).toBeGreaterThan(Math.min(mtu, 16_384) * 0.9);
      if (offloads && mtu < 65_520) expect(longest).toBeGreaterThan(mtu + 14);
      else expect(longest).toBeLessThanOrEqual(mtu + 14);
    }
    expect(tap.statistics()).toMatchObject({ droppedFromGuest: 0 });
  });

  it("carries TCP in through a forward, both ways", async () => {
    guest = await TapGuest.create();
    await using server = await IperfServer.start(GUESTS[4], guest.command, 5201);
    const { host } = await guest.slirp.addForward(`tcp:127.0.0.1:0-${GUESTS[4]}:5201`);
    const port = (host as { readonly port: number }).port;
    for (const direction of [[], ["--reverse"]]) {
      const words = ["--bytes", String(STREAM_BYTES), ...direction];
      const result = await runIperf(onHost, "127.0.0.1", port, ...words);
      expect(result.error, server.host).toBeUndefined();
      expect(result.end.sum_received.bytes).toBeGreaterThanOrEqual(RECEIVED_BYTES);
    }
  });

  const rates = [
    // What nobody has to drop: a datagram each 10 ms.
    { rate: "1M", mayLose: false },
    { rate: "100M", mayLose: true },
    { rate: "0", mayLose: true },
  ];

  it.each(rates)("carries UDP at $rate bit/s (0: as fast as it goes)", async (given) => {
    guest = await TapGuest.create();
    for (const family of [4, 6] as const) {
      for (const direction of [[], ["--reverse"]]) {
        const what = `IPv${String(family)} ${direction.join("")}`;
        // For a time, not to a number of bytes: that would be waited for in vain where some are lost.
        const amount = ["--bandwidth", given.rate, "--time", "1"];
        const result = await run(
          guest,
          family,
          "--udp",
          "--length",
          "1200",
          ...amount,
          ...direction,
        );
        expect(result.error, what).toBeUndefined();
        const { packets = 0, lost_packets: lost = NaN } = result.end.sum ?? {};
        expect(packets, what).toBeGreaterThan(0);
        if (given.mayLose) expect(lost, what).toBeLessThan(packets);
        else expect(lost, what).toBe(0);
      }
    }
  });
});
