/** UDP, both ways, with datagrams that fit into a frame and such that do not. */
import { expect, it, type TestContext } from "vitest";
import { HostUdpEcho } from "../../support/host/udp-echo.js";
import { makeRandomFile, succeed } from "../../support/guest-commands.js";
import type { GuestRig } from "../../support/rig.js";

const CASES = [
  { family: "IPv4", loopback: "127.0.0.1", gateway: "10.0.2.2", bytes: 1000 },
  // In three fragments each way.
  { family: "IPv4", loopback: "127.0.0.1", gateway: "10.0.2.2", bytes: 4000 },
  { family: "IPv6", loopback: "::1", gateway: "fec0::2", bytes: 1000 },
] as const;

export function describeDatagrams(rigOf: (ctx: TestContext) => GuestRig): void {
  it.for(CASES)("echoes a datagram of $bytes bytes over $family", async (example, ctx) => {
    const { guest } = rigOf(ctx);
    const { loopback, gateway, bytes } = example;
    await using echo = await HostUdpEcho.start(loopback);
    const sha256 = await makeRandomFile(guest, "/tmp/datagram", bytes);
    // netcat sends what it reads at once as one datagram, and ends after one datagram has come.
    const command = `nc.openbsd -u -W 1 -w 60 ${gateway} ${String(echo.port)} </tmp/datagram`;
    expect(await succeed(guest, `${command} | sha256sum`)).toContain(sha256);
    expect(echo.lengths).toEqual([bytes]);
  });
}
