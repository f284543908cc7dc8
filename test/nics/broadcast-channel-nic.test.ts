/**
 * Guests of several tabs on one network.
 */
import { randomUUID } from "node:crypto";
import { BroadcastChannel } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { BroadcastChannelBackend } from "../../src/backends/broadcast-channel-backend.js";
import { createSwitch } from "../../src/frames/frame-switch.js";
import {
  attachBroadcastChannel,
  type BroadcastChannelAttachment,
} from "../../src/nics/broadcast-channel-nic.js";
import { PushedFrames, range, settle } from "../net-backend-contract/harness.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { frameIndex, GUEST_MAC, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { waitUntil } from "../support/wait-until.js";

const OTHER_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc);
const BROADCAST_MAC = new Uint8Array(6).fill(0xff);

const open: { close(): unknown }[] = [];
let channel: string;
let near: PairEnd;
let far: PairEnd;
let network: PushedFrames;

beforeEach(() => {
  channel = `test-${randomUUID()}`;
  ({ near, far } = createBackendPair({ maxFrames: 16 }));
  network = new PushedFrames();
  far.callbacks = network.callbacks;
  far.enableReceive();
});

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

function closeLater<T extends { close(): unknown }>(each: T): T {
  open.push(each);
  return each;
}

function attach(): BroadcastChannelAttachment {
  const attachment = attachBroadcastChannel(near, { channel });
  open.push({ close: () => attachment.detach() });
  return attachment;
}

/** A guest of another tab, by the backend that it is on there. */
function tab(): { backend: BroadcastChannelBackend; frames: PushedFrames } {
  const backend = closeLater(new BroadcastChannelBackend({ channel }));
  const frames = new PushedFrames();
  backend.callbacks = frames.callbacks;
  backend.enableReceive();
  return { backend, frames };
}

const indices = ({ frames }: PushedFrames): (number | undefined)[] => frames.map(frameIndex);

describe("a channel on a backend", () => {
  it("brings frames of other tabs to it, and its frames to them", async () => {
    attach();
    const { backend, frames } = tab();
    backend.send(numberedFrame(1));
    await waitUntil("it comes", () => network.frames.length === 1);
    expect(network.frames).toEqual([numberedFrame(1)]);
    far.send(numberedFrame(2, { source: NETWORK_MAC, destination: GUEST_MAC }));
    await waitUntil("it comes", () => frames.frames.length === 1);
    expect(frames.frames).toEqual([
      numberedFrame(2, { source: NETWORK_MAC, destination: GUEST_MAC }),
    ]);
  });

  it("posts frames as v86 reads them: a Uint8Array with a memory of its own", async () => {
    attach();
    const witness = closeLater(new BroadcastChannel(channel));
    const messages: unknown[] = [];
    witness.onmessage = (event: unknown) => messages.push((event as { data: unknown }).data);
    far.send(numberedFrame(7));
    await waitUntil("it comes", () => messages.length === 1);
    const [frame] = messages as [Uint8Array];
    expect(frame).toBeInstanceOf(Uint8Array);
    expect(frame.buffer.byteLength).toBe(60);
  });

  it("reads what v86's ne2k posts: a view on its memory; and ignores what is no frame", async () => {
    attach();
    const other = closeLater(new BroadcastChannel(channel));
    const memory = new Uint8Array(32 * 1024);
    memory.set(numberedFrame(9), 0x4000);
    for (const message of ["text", null, { data: 1 }, new Uint8Array(13)])
      other.postMessage(message);
    other.postMessage(memory.subarray(0x4000, 0x4000 + 60));
    await waitUntil("it comes", () => network.frames.length === 1);
    expect(indices(network)).toEqual([9]);
  });

  it("keeps what the backend has no room for, in order, and counts what it dropped", async () => {
    far.disableReceive();
    const attachment = attachBroadcastChannel(near, { channel, maxWaitingFrames: 10 });
    open.push({ close: () => attachment.detach() });
    const { backend } = tab();
    for (let index = 0; index < 40; index++) backend.send(numberedFrame(index));
    await waitUntil("some were dropped", () => attachment.droppedFromGuest === 14);
    far.enableReceive();
    await waitUntil("the others come", () => network.frames.length === 26);
    expect(indices(network)).toEqual(range(0, 26));
  });

  it("is detached when the backend ends or is closed, and by hand", async () => {
    const attachment = attach();
    const { backend, frames } = tab();
    attachment.detach();
    attachment.detach();
    expect(backend.send(numberedFrame(1))).toBe(SendStatus.taken);
    far.send(numberedFrame(2));
    await settle();
    expect(network.frames).toEqual([]);
    expect(frames.frames).toEqual([]);
    attach();
    await near.close();
    backend.send(numberedFrame(3));
    await settle();
    expect(network.frames).toEqual([]);
  });
});

describe("guests of several tabs on one switch", () => {
  it("reach the network, each other, and a guest in the tab of the switch", async () => {
    const bridge = closeLater(createSwitch(near));
    const channelPort = bridge.openPort("tabs");
    const attachment = attachBroadcastChannel(channelPort, { channel });
    open.push({ close: () => attachment.detach() });
    const local = bridge.openPort("local");
    const localFrames = new PushedFrames();
    local.callbacks = localFrames.callbacks;
    local.enableReceive();
    const one = tab();
    const two = tab();

    one.backend.send(numberedFrame(1, { destination: BROADCAST_MAC }));
    await waitUntil("all have it", () =>
      [network, localFrames, two.frames].every(({ frames }) => frames.length === 1),
    );
    expect(one.frames.frames).toEqual([]);

    local.send(numberedFrame(2, { source: OTHER_MAC, destination: GUEST_MAC }));
    await waitUntil("it comes", () => one.frames.frames.length === 1);
    one.backend.send(numberedFrame(3, { destination: OTHER_MAC }));
    await waitUntil("it comes", () => localFrames.frames.length === 2);
    far.send(numberedFrame(4, { source: NETWORK_MAC, destination: OTHER_MAC }));
    await waitUntil("it comes", () => localFrames.frames.length === 3);
    await settle();
    expect(indices(network), "frames between guests stay there").toEqual([1]);
    expect(indices(localFrames)).toEqual([1, 3, 4]);
  });
});
