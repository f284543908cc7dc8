/** A NIC agrees with the stack on another header, or on less, while frames wait on either side. */
import { describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import type { HeaderLength } from "../../src/backend.js";
import { createSlirp } from "../../src/node.js";
import { GsoType, prependZeroedHeader, VirtioNetFeature } from "../../src/virtio-net.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { askForGateway } from "../support/noting-network.js";
import { OffloadingNic } from "../support/offloading-nic.js";
import { closeWorldsAfterEach, GATEWAY, LOOPBACK, openWorld } from "../support/raw-world.js";
import { waitUntil } from "../support/wait-until.js";

closeWorldsAfterEach();

describe("frames that wait for a NIC", () => {
  it("have the header that holds when they are taken", async () => {
    await using slirp = await createSlirp({ slirp: { ipv6: false } });
    slirp.disableReceive();
    const [first, second] = [askForGateway(1), askForGateway(2)];
    slirp.send(first.request);
    slirp.send(second.request);
    await waitUntil("an answer waits", () => slirp.peek() > 0);
    const target = new Uint8Array(100);
    for (const length of [12, 10, 0, 10, 12] as const satisfies HeaderLength[]) {
      slirp.setCapabilities(0n, length);
      expect(slirp.peek()).toBe(length + first.answer.length);
    }
    expect(slirp.receive(target)).toBe(12 + first.answer.length);
    expect(target.subarray(0, 76)).toEqual(prependZeroedHeader(first.answer, 12));
    slirp.setCapabilities(0n, 0);
    expect(slirp.receive(target)).toBe(second.answer.length);
    expect(target.subarray(0, 64)).toEqual(second.answer);
    expect(slirp.peek()).toBe(0);
    expect(slirp.statistics().droppedToGuest).toBe(0);
  });

  it("do not come when they say more than it takes now; they are counted, and TCP sends their bytes again", async () => {
    const { guestChecksum } = VirtioNetFeature;
    for (const less of [guestChecksum, 0n]) {
      let nic: OffloadingNic | undefined;
      const { slirp, guest, peers } = await openWorld({
        plugIn: (stack) => (nic = new OffloadingNic(stack, stack.capabilities(12))),
      });
      const server = await peers.tcpServer(LOOPBACK[4]);
      const { port } = server.endpoint as IpEndpoint;
      const connection = await guest.connect(GATEWAY[4], port).opened();
      const peer = await server.connection();
      const first = testBytes(100_000);
      peer.write(first);
      await connection.untilReceived(first.length);
      const before = nic!.longToGuest.length;
      slirp.disableReceive();
      const second = testBytes(50_000, 2);
      peer.write(second);
      await waitUntil("a long frame waits", () => slirp.peek() > 10_000);
      slirp.setCapabilities(less, 12);
      expect(slirp.statistics().droppedToGuest).toBeGreaterThan(0);
      slirp.enableReceive();
      await connection.untilReceived(first.length + second.length);
      expect(connection.receivedDigest()).toBe(sha256(Buffer.concat([first, second])));
      const since = nic!.longToGuest.slice(before);
      expect(since.filter(({ gsoType }) => gsoType !== GsoType.none)).toEqual([]);
    }
  });
});

describe("frames that a NIC has sent", () => {
  it("are read with the header that they were sent with, though it changed right behind them", async () => {
    await using slirp = await createSlirp({ slirp: { ipv6: false } });
    slirp.disableReceive();
    const lengths = [12, 0, 10, 12] as const;
    const asked = lengths.map((_, station) => askForGateway(station + 1));
    lengths.forEach((length, i) => {
      slirp.setCapabilities(0n, length);
      expect(slirp.send(prependZeroedHeader(asked[i]!.request, length))).toBe("taken");
    });
    slirp.setCapabilities(0n, 0);
    const answers: Uint8Array[] = [];
    const takeAll = (): boolean => {
      for (let length = slirp.peek(); length > 0; length = slirp.peek()) {
        const target = new Uint8Array(length);
        slirp.receive(target);
        answers.push(target);
      }
      return answers.length === lengths.length;
    };
    await waitUntil("all were answered", takeAll);
    expect(answers).toEqual(asked.map(({ answer }) => answer));
    expect(slirp.statistics().droppedFromGuest).toBe(0);
  });
});
