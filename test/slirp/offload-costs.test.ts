/**
 * What a transfer costs at a small and at a large MTU, where the NIC takes and sends long frames: crossings into the module and out of it,
 * and calls of the host's sockets, each of which is a system call or becomes one. A guest of MTU 1500 must not cost more.
 */
import { describe, expect, it } from "vitest";
import type { IpEndpoint, IpFamily } from "../../src/address.js";
import { readBytes } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { OffloadingNic } from "../support/offloading-nic.js";
import { closeWorldsAfterEach, GATEWAY, LOOPBACK, openWorld } from "../support/raw-world.js";

closeWorldsAfterEach();

const BYTES = 6_000_000;
/** What the guest's program writes at once, which fits into the stack's window. */
const WRITE_BYTES = 60_000;
/** How much the host's sockets have ready at a time is the system's: on a busy machine no two transfers are the same. */
const ALLOWANCE = 1.25;
/** All windows are the same: what differs is the MTU. */
const WINDOW = { window: 1024 * 1024, windowShift: 7 } as const;

interface Costs {
  /** Frames over the edge, both ways. */
  readonly frames: number;
  /** Calls of `host_send` and `host_receive`. */
  readonly sends: number;
  readonly receives: number;
  /** Turns: calls into the module. */
  readonly turns: number;
}

async function costsOf(
  way: "up" | "down",
  family: IpFamily,
  { mtuBytes, isPlain = false }: { readonly mtuBytes: number; readonly isPlain?: boolean },
): Promise<Costs> {
  const world = await openWorld({
    slirp: { mtuBytes },
    guest: { mtuBytes },
    plugIn: (slirp) => new OffloadingNic(slirp, isPlain ? 0n : slirp.capabilities(12)),
  });
  const { guest, network, peers, slirp } = world;
  const server = await peers.tcpServer(LOOPBACK[family]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await guest.connect(GATEWAY[family], port, WINDOW).opened();
  const peer = await server.connection();
  let turns = 0;
  network.onEndTurn = () => turns++;
  const before = slirp.statistics();
  network.calls.clear();
  const data = testBytes(BYTES);
  if (way === "up") {
    const received = readBytes(peer, BYTES);
    for (let at = 0; at < BYTES; at += WRITE_BYTES) {
      const isReady = (): boolean =>
        connection.isAcknowledged && connection.peerWindow >= WRITE_BYTES;
      await guest.until(
        isReady,
        () => `room: acknowledged ${connection.isAcknowledged}, window ${connection.peerWindow}`,
        5000,
      );
      connection.sendNow(data.subarray(at, at + WRITE_BYTES));
    }
    expect(sha256(await received)).toBe(sha256(data));
  } else {
    peer.write(data);
    await connection.untilReceived(BYTES);
    expect(connection.receivedDigest()).toBe(sha256(data));
  }
  const after = slirp.statistics();
  const frames =
    after.framesFromGuest - before.framesFromGuest + after.framesToGuest - before.framesToGuest;
  return { frames, sends: network.calls.of("send"), receives: network.calls.of("receive"), turns };
}

for (const family of [4, 6] as const) {
  describe(`a transfer over IPv${String(family)}`, () => {
    for (const way of ["up", "down"] as const) {
      it(`costs at MTU 1500 what it costs at 65520: ${way}`, async () => {
        const small = await costsOf(way, family, { mtuBytes: 1500 });
        const large = await costsOf(way, family, { mtuBytes: 65_520 });
        for (const what of ["frames", "sends", "receives", "turns"] as const) {
          expect(small[what], what).toBeLessThanOrEqual(large[what] * ALLOWANCE);
        }
        expect(way === "up" ? large.sends : large.receives).toBeGreaterThan(0);
        const plain = await costsOf(way, family, { mtuBytes: 1500, isPlain: true });
        expect(plain.frames, "it is the offloads that save them").toBeGreaterThan(
          small.frames * 10,
        );
      });
    }
  });
}
