/**
 * A port of the switch is a backend like any other.
 */
import { FrameSwitch } from "../../src/frames/frame-switch.js";
import { createBackendPair } from "../support/backend-pair.js";
import { frameIndex, framesOf, GUEST_MAC, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("port of a switch", () => {
  const { near, far } = createBackendPair();
  const bridge = new FrameSwitch(near);
  const arrived: number[] = [];
  let provoked = 0;
  far.callbacks = {
    onFrames: (batch) => {
      for (const frame of framesOf(batch)) arrived.push(frameIndex(frame) ?? NaN);
    },
  };
  far.enableReceive();
  return {
    backend: bridge.openPort("guest"),
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count) => {
      const frames = Array.from({ length: count }, () => {
        provoked++;
        const addresses = { source: NETWORK_MAC, destination: GUEST_MAC };
        return numberedFrame(provoked, { ...addresses, length: 60 + (provoked % 1000) });
      });
      for (const frame of frames) far.send(frame);
      // The pair delivers in a microtask.
      await Promise.resolve();
      return frames;
    },
    close: async () => {
      await bridge.close();
      await near.close();
      await far.close();
    },
  };
});
