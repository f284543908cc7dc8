/**
 * UDP through `slirp-wasm netns` at several rates, one of them more than it can carry: each datagram that was sent has come, once, or the
 * kernel says who had no room for it: the TAP, a socket, the guest's queue. The program itself loses none.
 */
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { droppedBySocket, FloodCounter, sendFlood, type Flood } from "../support/datagram-flood.js";
import { findFreePort } from "../support/free-port.js";
import { type GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { onHost, type Command } from "../support/iperf.js";
import { askApi, OURS, waitForIpv6 } from "../support/netns-program.js";
import { useNetnsWorld } from "../support/use-netns-world.js";
import { waitUntil } from "../support/wait-until.js";

const GUEST_PORT = 6000;
const VERSIONS = [
  { version: 4, host: "127.0.0.1", gateway: "10.0.2.2", guestAddress: "10.0.2.100" },
  { version: 6, host: "::1", gateway: "fd00::2", guestAddress: "fd00::100" },
] as const;

/** A second or so each. */
const RATES = [
  { perSecond: 200, count: 200, bytes: 1000 },
  { perSecond: 20_000, count: 20_000, bytes: 1000 },
  { perSecond: null, count: 40_000, bytes: 100 },
] as const;

interface Counters {
  readonly stats64: {
    readonly rx: { readonly dropped: number; readonly packets: number };
    readonly tx: { readonly dropped: number; readonly packets: number };
  };
}

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("UDP through slirp-wasm netns", () => {
  const world = useNetnsWorld();
  let folder: string;
  let guest: GuestNamespace;
  let inGuest: Command;

  beforeEach(async () => {
    ({ guest, folder } = world());
    inGuest = (...words) => guest.command(...words);
    await world().startFor(OURS, ["-c", "-6", "-a", join(folder, "api.sock")]);
    await waitForIpv6(guest);
  });

  async function counters(): Promise<Counters["stats64"]> {
    const [tap] = await guest.ip<Counters[]>("-s", "link", "show", "tap0");
    if (!tap) throw new Error("the guest has no tap0");
    return tap.stats64;
  }

  /** All of them have come, and none twice, or are counted somewhere. */
  async function expectAll(
    counter: FloodCounter,
    count: number,
    droppedOnTheWay: () => Promise<number>,
  ): Promise<void> {
    let known = 0;
    await waitUntil(
      () => `${String(count)} datagrams are accounted for, not ${String(known)}`,
      async () => {
        known = counter.count.received + counter.count.dropped + (await droppedOnTheWay());
        return known >= count;
      },
    );
    expect(counter.count.repeated).toBe(0);
  }

  for (const { version, host, gateway, guestAddress } of VERSIONS) {
    for (const rate of RATES) {
      const speed = rate.perSecond === null ? "as fast as it goes" : `${String(rate.perSecond)}/s`;
      const title = `of ${String(rate.bytes)} bytes, ${speed}, IPv${String(version)}`;

      it(`comes from the guest or is counted: ${title}`, async () => {
        await using counter = await FloodCounter.start(onHost, host);
        const flood: Flood = { ...rate, host: gateway, port: counter.count.port };
        await sendFlood(inGuest, flood);
        await expectAll(counter, rate.count, async () => (await counters()).tx.dropped);
        if (rate.perSecond === 200) expect(counter.count.received).toBe(rate.count);
      });

      it(`comes to the guest or is counted: ${title}`, async () => {
        await using counter = await FloodCounter.start(inGuest, guestAddress, GUEST_PORT);
        const port = await findFreePort(host);
        const rule = { host_addr: host, host_port: port, guest_port: GUEST_PORT };
        const args = { proto: `udp${String(version)}`, guest_addr: guestAddress, ...rule };
        const answer = await askApi(join(folder, "api.sock"), {
          execute: "add_hostfwd",
          arguments: args,
        });
        expect(answer).toHaveProperty("return.id");
        await sendFlood(onHost, { ...rate, host, port });
        await expectAll(counter, rate.count, async () => {
          return droppedBySocket(port) + (await counters()).rx.dropped;
        });
        if (rate.perSecond === 200) expect(counter.count.received).toBe(rate.count);
      });
    }
  }
});
