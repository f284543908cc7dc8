/**
 * UDP of the kernel as guest, at several rates: each datagram that was sent has come, once, or is counted as dropped by the one who had no
 * room for it: a socket of the kernel's, the TAP, the stack.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { droppedBySocket, FloodCounter, sendFlood, type Flood } from "../support/datagram-flood.js";
import { onHost } from "../support/iperf.js";
import { whyNoTap } from "../support/network-namespace.js";
import { GATEWAYS, GUESTS, TapGuest } from "../support/tap-guest.js";
import { waitUntil } from "../support/wait-until.js";

const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;
const GUEST_PORT = 6000;
const MISSING = whyNoTap();

/** A second or so each. */
const RATES = [
  { perSecond: 200, count: 200, bytes: 1000 },
  { perSecond: 20_000, count: 20_000, bytes: 1000 },
  { perSecond: null, count: 40_000, bytes: 100 },
  { perSecond: null, count: 10_000, bytes: 1452 },
] as const;
/** In fragments, which libslirp puts together and makes for IPv4 alone. */
const LARGE = { perSecond: 500, count: 250, bytes: 20_000 } as const;

if (MISSING !== undefined) {
  it("UDP through a TAP and a stack", (ctx) => {
    ctx.skip(MISSING);
  });
}

describe.runIf(MISSING === undefined)("UDP through a TAP and a stack", () => {
  let guest: TapGuest;

  beforeEach(async () => {
    guest = await TapGuest.create();
  });

  afterEach(async () => {
    await guest.close();
  });

  /** What stack and TAP say that they have dropped, and the TAP's kernel. */
  function droppedOnTheWay(): number {
    const [tap, stack] = [guest.tap.statistics(), guest.slirp.statistics()];
    return (
      tap.droppedFromGuest + tap.droppedToGuest + stack.droppedFromGuest + stack.droppedToGuest
    );
  }

  /** What found no room in the socket of a forward: in the kernel, or when it had been read. */
  function droppedByForward(port: number): number {
    const local = (text: string | undefined): boolean =>
      text?.endsWith(`:${String(port)}`) ?? false;
    const socket = guest.slirp.sockets().find((each) => local(each.local));
    return (socket?.droppedDatagrams ?? 0) + droppedBySocket(port);
  }

  /** All of them have come, and none twice, or are counted somewhere. */
  async function expectAll(
    counter: FloodCounter,
    count: number,
    droppedBefore: () => number = () => 0,
  ): Promise<void> {
    const known = (): number =>
      counter.count.received + counter.count.dropped + droppedOnTheWay() + droppedBefore();
    await waitUntil(
      () => `${String(count)} datagrams are accounted for, not ${String(known())}`,
      () => known() >= count,
    );
    expect(counter.count.repeated).toBe(0);
  }

  for (const family of [4, 6] as const) {
    for (const rate of family === 4 ? [...RATES, LARGE] : RATES) {
      const speed = rate.perSecond === null ? "as fast as it goes" : `${rate.perSecond}/s`;
      const title = `of ${String(rate.bytes)} bytes, ${speed}, IPv${String(family)}`;

      it(`comes from the guest or is counted: ${title}`, async () => {
        await using counter = await FloodCounter.start(onHost, LOOPBACK[family]);
        const flood: Flood = { ...rate, host: GATEWAYS[family], port: counter.count.port };
        await sendFlood(guest.command, flood);
        await expectAll(counter, rate.count);
        if (rate.perSecond === 200) expect(counter.count.received).toBe(rate.count);
      });

      it(`comes to the guest or is counted: ${title}`, async () => {
        await using counter = await FloodCounter.start(guest.command, GUESTS[family], GUEST_PORT);
        const to = family === 4 ? GUESTS[4] : `[${GUESTS[6]}]`;
        const from = family === 4 ? LOOPBACK[4] : `[${LOOPBACK[6]}]`;
        const { host } = await guest.slirp.addForward(`udp:${from}:0-${to}:${String(GUEST_PORT)}`);
        const { port } = host as { readonly port: number };
        await sendFlood(onHost, { ...rate, host: LOOPBACK[family], port });
        await expectAll(counter, rate.count, () => droppedByForward(port));
        if (rate.perSecond === 200) expect(counter.count.received).toBe(rate.count);
      });
    }
  }
});
