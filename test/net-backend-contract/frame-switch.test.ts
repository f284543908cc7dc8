/**
 * A port of the switch is a backend like any other.
 */
import { FrameSwitch } from "../../src/frames/frame-switch.js";
import { createBackendPair } from "../support/backend-pair.js";
import { collectIndices, GUEST_MAC, networkFrameMaker, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("port of a switch", () => {
  const { near, far } = createBackendPair();
  const bridge = new FrameSwitch(near);
  const arrived = collectIndices(far);
  const makeFrames = networkFrameMaker({ destination: GUEST_MAC });
  return {
    backend: bridge.openPort("guest"),
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count) => {
      const frames = makeFrames(count);
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
