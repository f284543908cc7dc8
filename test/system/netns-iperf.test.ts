/** iperf3 over the kernel's TCP and UDP, through `slirp-wasm netns`. The host is a namespace of the test's, too. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { IperfServer, runIperf, whyNoIperf, type Command } from "../support/iperf.js";
import { NetnsProcess, OURS, waitForIpv6 } from "../support/netns-program.js";
import { NetworkNamespace } from "../support/network-namespace.js";

const MISSING = WHY_NO_NAMESPACES ?? whyNoIperf();
const STREAM_BYTES = 16 * 2 ** 20;
/** At the end iperf3 does not wait for what is still in the kernels' buffers. */
const RECEIVED_BYTES = STREAM_BYTES / 2;
/** The host's loopback, and where the guest finds it. */
const HOSTS = { 4: ["127.0.0.1", "10.0.2.2"], 6: ["::1", "fd00::2"] } as const;
const PORT = 5201;

if (MISSING !== undefined) {
  it("iperf3 through slirp-wasm netns", (ctx) => {
    ctx.skip(MISSING);
  });
}

describe.runIf(MISSING === undefined)("iperf3 through slirp-wasm netns", () => {
  let host: NetworkNamespace;
  let guest: GuestNamespace;
  const opened: { close(): Promise<void> }[] = [];

  const onHost: Command = (...words) => host.command(...words).flat();
  const inGuest: Command = (...words) => guest.command(...words);

  beforeEach(async () => {
    host = await NetworkNamespace.create();
    opened.push(host);
    guest = await GuestNamespace.create();
    opened.push(guest);
    for (const family of [4, 6] as const) {
      opened.push(await IperfServer.start(HOSTS[family][0], onHost, PORT));
    }
  });

  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  async function start(mtu: number, confinement: readonly string[]): Promise<void> {
    const line = ["--configure", "--enable-ipv6", `--mtu=${String(mtu)}`, ...confinement];
    const words = [...line, String(guest.pid), "tap0"];
    const process = await NetnsProcess.start(OURS, words, { wrap: (all) => onHost(...all) });
    opened.push({ close: () => process.stop() });
    await waitForIpv6(guest);
  }

  const cases = [
    { mtu: 1500, confinement: [] },
    { mtu: 9000, confinement: ["--enable-sandbox", "--enable-seccomp"] },
    { mtu: 65_520, confinement: [] },
  ];

  it.each(cases)(
    "carries TCP and UDP at MTU $mtu, confined: $confinement",
    async ({ mtu, confinement }) => {
      await start(mtu, confinement);
      for (const family of [4, 6] as const) {
        for (const direction of [[], ["--reverse"]]) {
          const what = `IPv${String(family)} ${direction.join("")}`;
          const run = (...words: string[]) =>
            runIperf(inGuest, HOSTS[family][1], PORT, ...words, ...direction);
          const tcp = await run("--bytes", String(STREAM_BYTES));
          expect(tcp.error, what).toBeUndefined();
          expect(tcp.end.sum_sent.bytes, what).toBeGreaterThanOrEqual(STREAM_BYTES);
          expect(tcp.end.sum_received.bytes, what).toBeGreaterThanOrEqual(RECEIVED_BYTES);
          const udp = await run("--udp", "--length", "1200", "--bandwidth", "1M", "--time", "1");
          expect(udp.error, what).toBeUndefined();
          expect(udp.end.sum?.packets, what).toBeGreaterThan(0);
          expect(udp.end.sum?.lost_packets, what).toBe(0);
        }
      }
    },
  );
});
