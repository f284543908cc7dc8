/**
 * The switch: who gets which frame.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SendStatus, type NetBackend } from "../../src/backend.js";
import { ErrorCode } from "../../src/errors.js";
import { FrameSwitch } from "../../src/frames/frame-switch.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { frameIndex, framesOf, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { settle } from "../net-backend-contract/harness.js";

const BROADCAST = new Uint8Array(6).fill(0xff);
const MAC_A = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0xa);
const MAC_B = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0xb);

interface Guest {
  readonly port: NetBackend;
  readonly received: (number | undefined)[];
}

let near: PairEnd;
let far: PairEnd;
let bridge: FrameSwitch;
/** What came out of the uplink. */
let upstream: (number | undefined)[];

function addGuest(name: string): Guest {
  const port = bridge.openPort(name);
  const received: (number | undefined)[] = [];
  port.callbacks = {
    onFrames: (batch) => received.push(...framesOf(batch).map((frame) => frameIndex(frame))),
  };
  port.enableReceive();
  return { port, received };
}

beforeEach(() => {
  ({ near, far } = createBackendPair({ maxFrames: 16 }));
  bridge = new FrameSwitch(near, { maxAddresses: 4, portLimits: { maxFrames: 8 } });
  upstream = [];
  far.callbacks = {
    onFrames: (batch) => upstream.push(...framesOf(batch).map((frame) => frameIndex(frame))),
  };
  far.enableReceive();
});

afterEach(async () => {
  await bridge.close();
  await near.close();
  await far.close();
});

describe("FrameSwitch", () => {
  it("brings broadcasts of a guest to the uplink and all others, not back", async () => {
    const [a, b, c] = ["a", "b", "c"].map(addGuest) as [Guest, Guest, Guest];
    a.port.send(numberedFrame(1, { source: MAC_A, destination: BROADCAST }));
    await settle();
    expect([upstream, a.received, b.received, c.received]).toEqual([[1], [], [1], [1]]);
  });

  it("brings frames of the uplink to the guest that has the address, alone", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    a.port.send(numberedFrame(1, { source: MAC_A }));
    b.port.send(numberedFrame(2, { source: MAC_B }));
    await settle();
    far.send(numberedFrame(3, { source: NETWORK_MAC, destination: MAC_A }));
    far.send(numberedFrame(4, { source: NETWORK_MAC, destination: MAC_B }));
    far.send(numberedFrame(5, { source: NETWORK_MAC, destination: BROADCAST }));
    await settle();
    // The guests' first frames went to an address that nobody knew.
    expect(a.received).toEqual([2, 3, 5]);
    expect(b.received).toEqual([1, 4, 5]);
  });

  it("keeps what guests say to each other from the uplink", async () => {
    const [a, b, c] = ["a", "b", "c"].map(addGuest) as [Guest, Guest, Guest];
    b.port.send(numberedFrame(1, { source: MAC_B, destination: BROADCAST }));
    await settle();
    a.port.send(numberedFrame(2, { source: MAC_A, destination: MAC_B }));
    await settle();
    expect(upstream).toEqual([1]);
    expect(b.received).toEqual([2]);
    expect(c.received).toEqual([1]);
  });

  it("does not let a guest take the address of the gateway", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    far.send(numberedFrame(1, { source: NETWORK_MAC, destination: BROADCAST }));
    await settle();
    b.port.send(numberedFrame(2, { source: NETWORK_MAC, destination: BROADCAST }));
    a.port.send(numberedFrame(3, { source: MAC_A, destination: NETWORK_MAC }));
    await settle();
    expect(upstream).toEqual([2, 3]);
    expect(b.received).toEqual([1]);
  });

  it("follows an address that moves to another guest", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    a.port.send(numberedFrame(1, { source: MAC_A }));
    b.port.send(numberedFrame(2, { source: MAC_A }));
    await settle();
    far.send(numberedFrame(3, { source: NETWORK_MAC, destination: MAC_A }));
    await settle();
    expect(a.received).not.toContain(3);
    expect(b.received).toContain(3);
  });

  it("forgets the addresses of a guest that is gone", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    a.port.send(numberedFrame(1, { source: MAC_A }));
    await settle();
    await a.port.close();
    far.send(numberedFrame(2, { source: NETWORK_MAC, destination: MAC_A }));
    await settle();
    expect(b.received, "an address that nobody has is looked for everywhere").toContain(2);
  });

  it("remembers no more addresses than it may", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    a.port.send(numberedFrame(1, { source: MAC_A }));
    for (let last = 0; last < 10; last++) {
      b.port.send(numberedFrame(2, { source: Uint8Array.of(2, 0, 0, 0, 0, last) }));
      await Promise.resolve();
    }
    await settle();
    far.send(numberedFrame(3, { source: NETWORK_MAC, destination: MAC_A }));
    await settle();
    expect(b.received, "the oldest was forgotten: its frame goes everywhere").toContain(3);
  });

  it("drops for a guest that does not read, alone, and counts it there", async () => {
    const [a, b, c] = ["a", "b", "c"].map(addGuest) as [Guest, Guest, Guest];
    b.port.disableReceive();
    for (let index = 0; index < 12; index++) {
      a.port.send(numberedFrame(index, { source: MAC_A, destination: BROADCAST }));
      await settle();
    }
    expect(c.received).toHaveLength(12);
    expect(upstream).toHaveLength(12);
    expect(b.port.statistics().droppedToGuest).toBe(4);
    b.port.enableReceive();
    await settle();
    expect(b.received).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("passes mustWait of the uplink to the sender before anybody got the frame", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    let writable = 0;
    a.port.callbacks = { onFrames: () => undefined, onWritable: () => writable++ };
    far.disableReceive();
    let sent = 0;
    const send = (): SendStatus =>
      a.port.send(numberedFrame(sent, { source: MAC_A, destination: BROADCAST }));
    while (send() === SendStatus.taken) {
      sent++;
      await settle();
    }
    expect(sent).toBe(16);
    expect(b.received).toHaveLength(16);
    far.enableReceive();
    await settle();
    expect(writable).toBe(1);
    expect(send()).toBe(SendStatus.taken);
    await settle();
    expect(upstream).toHaveLength(17);
    expect(b.received).toHaveLength(17);
  });

  it("tells all guests when the uplink ends", async () => {
    const [a, b] = ["a", "b"].map(addGuest) as [Guest, Guest];
    const errors: Error[] = [];
    for (const { port } of [a, b]) {
      port.callbacks = { onFrames: () => undefined, onError: (error) => errors.push(error) };
    }
    const failure = new Error("the stack failed");
    near.notifyError(failure);
    await settle();
    expect(errors).toEqual([failure, failure]);
  });

  it("closes its ports and leaves the uplink open", async () => {
    const guest = addGuest("a");
    await bridge.close();
    expect(() => guest.port.peek()).toThrow(expect.objectContaining({ code: ErrorCode.closed }));
    expect(() => bridge.openPort("b")).toThrow(expect.objectContaining({ code: ErrorCode.closed }));
    expect(near.isClosed).toBe(false);
  });
});
