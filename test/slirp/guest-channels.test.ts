/**
 * Guest channels, and the state of a stack that outlives it: what libslirp's interface has for both.
 */
import { describe, expect, it } from "vitest";
import { ipAddress } from "../../src/address.js";
import { ErrorCode } from "../../src/errors.js";
import { createSlirp } from "../../src/node.js";
import { forward, closeWorldsAfterEach, openWorld, type World } from "../support/raw-world.js";
import { testBytes } from "../host-network-contract/test-data.js";
import { parseGuestForward } from "../../src/config/index.js";
import type { GuestChannel, Slirp } from "../../src/index.js";

closeWorldsAfterEach();

const ADDRESS = ipAddress("10.0.2.100");
const PORT = 4000;

/** A channel that keeps what the guest sends. */
function openChannel(slirp: Slirp): { channel: GuestChannel; text(): string; writable: number } {
  let received = Buffer.alloc(0);
  const kept = {
    text: () => received.toString(),
    writable: 0,
    channel: slirp.openGuestChannel({
      address: ADDRESS,
      port: PORT,
      onData: (bytes) => {
        received = Buffer.concat([received, bytes]);
      },
      onWritable: () => {
        kept.writable++;
      },
    }),
  };
  return kept;
}

/** Sends all, as `send` and `onWritable` say. */
async function sendAll(world: World, kept: ReturnType<typeof openChannel>, bytes: Uint8Array) {
  for (let at = 0; at < bytes.length;) {
    const before = kept.writable;
    at += kept.channel.send(bytes.subarray(at));
    if (at < bytes.length) await world.guest.until(() => kept.writable > before, "room");
  }
}

describe("a guest channel", () => {
  it("carries bytes both ways, more than a window's worth too", async () => {
    const world = await openWorld();
    const kept = openChannel(world.slirp);
    expect(kept.channel.send(Buffer.from("nobody there")), "before the guest has come").toBe(0);
    const connection = await world.guest.connect(ADDRESS.address, PORT).opened();
    connection.sendNow(Buffer.from("hello channel"));
    await world.guest.until(() => kept.text() === "hello channel", "the guest's bytes");
    const data = testBytes(1024 * 1024);
    const sent = sendAll(world, kept, data);
    await connection.untilReceived(data.length);
    await sent;
    expect(connection.take().equals(data)).toBe(true);
    expect(kept.writable).toBeGreaterThan(0);
  });

  it("may be answered from within onData, and closed from there", async () => {
    const world = await openWorld();
    const channel = world.slirp.openGuestChannel({
      address: ADDRESS,
      port: PORT,
      onData: (bytes) => {
        channel.send(bytes);
        if (bytes.length > 4) void world.slirp.close();
      },
    });
    const connection = await world.guest.connect(ADDRESS.address, PORT).opened();
    connection.sendNow(Buffer.from("echo"));
    await connection.untilReceived(4);
    connection.sendNow(Buffer.from("the end"));
    await world.guest.until(() => {
      try {
        channel.send(new Uint8Array());
        return false;
      } catch (error) {
        return (error as { code?: string }).code === ErrorCode.closed;
      }
    }, "the channel to be closed");
  });

  it.each([
    ["outside of the guest's network", "192.0.2.1", PORT],
    ["of the gateway", "10.0.2.2", PORT],
    ["that is IPv6", "fec0::100", PORT],
    ["with port 0", "10.0.2.100", 0],
    ["with port 65536", "10.0.2.100", 65_536],
  ])("is refused at an address %s", async (_what, address, port) => {
    const { slirp } = await openWorld();
    const open = () =>
      slirp.openGuestChannel({ address: ipAddress(address), port, onData: () => undefined });
    expect(open).toThrow(expect.objectContaining({ code: ErrorCode.forwardFailed }));
  });

  it("is refused where a channel or a guest forward is, and the other way round", async () => {
    const { slirp } = await openWorld();
    openChannel(slirp);
    const refused = expect.objectContaining({ code: ErrorCode.forwardFailed }) as Error;
    expect(() => openChannel(slirp)).toThrow(refused);
    const rule = (port: number) =>
      parseGuestForward(`tcp:10.0.2.100:${String(port)}-unix:/nowhere`);
    expect(() => {
      slirp.addGuestForward(rule(PORT));
    }).toThrow(refused);
    slirp.addGuestForward(rule(PORT + 1));
    expect(() =>
      slirp.openGuestChannel({ address: ADDRESS, port: PORT + 1, onData: () => undefined }),
    ).toThrow(refused);
  });
});

describe("a saved stack", () => {
  it("goes on in another: the channel's connection with what was under way", async () => {
    const world = await openWorld();
    const first = openChannel(world.slirp);
    const connection = await world.guest.connect(ADDRESS.address, PORT).opened();
    connection.sendNow(Buffer.from("before"));
    await world.guest.until(() => first.text() === "before", "the guest's bytes");
    world.guest.lose = () => true;
    first.channel.send(Buffer.from("on its way, "));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const saved = world.slirp.saveState();
    world.guest.lose = undefined;
    await world.slirp.close();

    await using slirp = await createSlirp({ hostNetwork: world.network });
    const second = openChannel(slirp);
    slirp.loadState(saved);
    world.guest.moveTo(slirp);
    world.guest.arp();
    // Lost on the way to the guest, and sent again by the stack that never sent it.
    await connection.untilReceived(12);
    second.channel.send(Buffer.from("after"));
    connection.sendNow(Buffer.from(" and after"));
    await connection.untilReceived(17);
    expect(connection.take().toString()).toBe("on its way, after");
    await world.guest.until(() => second.text() === " and after", "the guest's bytes");
  });

  it("is refused where it is damaged or of another configuration", async () => {
    const world = await openWorld();
    openChannel(world.slirp);
    await world.guest.connect(ADDRESS.address, PORT).opened();
    const saved = world.slirp.saveState();
    const refused = expect.objectContaining({ code: ErrorCode.invalidConfiguration }) as Error;
    const newer = saved.slice();
    newer[4] = 5;
    for (const bad of [new Uint8Array(), saved.subarray(1), saved.subarray(0, -1), newer, saved]) {
      // The last is whole, but this stack has no such channel.
      const { slirp } = await openWorld();
      expect(() => {
        slirp.loadState(bad);
      }).toThrow(refused);
    }
  });

  it("can be saved and loaded without any channel", async () => {
    const { slirp } = await openWorld({
      slirp: { hostForwards: [forward("tcp:127.0.0.1:0-:80")] },
    });
    slirp.loadState(slirp.saveState());
    expect(slirp.forwards()).toHaveLength(1);
  });
});
