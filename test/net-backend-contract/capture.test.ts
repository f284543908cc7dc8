/**
 * A capture around a backend changes nothing about it.
 */
import { CaptureMemory } from "../../src/backends/capture-memory.js";
import { withCapture } from "../../src/backends/capture.js";
import { createBackendPair } from "../support/backend-pair.js";
import { collectIndices, networkFrameMaker, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("capture around a pair", () => {
  const { near, far } = createBackendPair();
  const arrived = collectIndices(far);
  const makeFrames = networkFrameMaker();
  return {
    backend: withCapture(near, new CaptureMemory()),
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: (count) => {
      const frames = makeFrames(count);
      for (const frame of frames) {
        if (!near.deliver(frame, 0, frame.length)) near.countDroppedToGuest();
      }
      return Promise.resolve(frames);
    },
    close: () => far.close(),
  };
});
