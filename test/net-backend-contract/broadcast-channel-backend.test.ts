/**
 * The channel between tabs: a backend like any other. The test is another tab on it.
 */
import { randomUUID } from "node:crypto";
import { BroadcastChannel } from "node:worker_threads";
import { BroadcastChannelBackend } from "../../src/backends/broadcast-channel-backend.js";
import { frameIndex, NETWORK_MAC, networkFrameMaker, numberedFrame } from "../support/frames.js";
import { waitUntil } from "../support/wait-until.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("channel between tabs", () => {
  const name = `test-${randomUUID()}`;
  const backend = new BroadcastChannelBackend({ channel: name });
  const channel = new BroadcastChannel(name);
  /** Sees what the backend sees, later: who came to the channel later gets a message later. */
  const witness = new BroadcastChannel(name);
  const arrived: number[] = [];
  let witnessed = 0;
  channel.onmessage = (event: unknown) => {
    arrived.push(frameIndex((event as { data: Uint8Array }).data) ?? NaN);
  };
  witness.onmessage = (event: unknown) => {
    const { data } = event as { data: Uint8Array };
    if (data[6] === NETWORK_MAC[0] && data[7] === NETWORK_MAC[1]) witnessed++;
  };
  const makeFrames = networkFrameMaker();
  let provoked = 0;
  return {
    backend,
    neverWaits: true,
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count) => {
      const frames = makeFrames(count);
      provoked += count;
      for (const frame of frames) channel.postMessage(frame);
      await waitUntil("they have come", () => witnessed === provoked);
      return frames;
    },
    close: async () => {
      channel.close();
      witness.close();
    },
  };
});
