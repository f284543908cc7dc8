/**
 * A capture around a backend changes nothing about it.
 */
import { CaptureMemory } from "../../src/backends/capture-memory.js";
import { withCapture } from "../../src/backends/capture.js";
import { createBackendPair } from "../support/backend-pair.js";
import { frameIndex, framesOf, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("capture around a pair", () => {
  const { near, far } = createBackendPair();
  const arrived: number[] = [];
  let provoked = 0;
  far.callbacks = {
    onFrames: (batch) => {
      for (const frame of framesOf(batch)) arrived.push(frameIndex(frame) ?? NaN);
    },
  };
  far.enableReceive();
  return {
    backend: withCapture(near, new CaptureMemory()),
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: (count) => {
      const frames = Array.from({ length: count }, () => {
        provoked++;
        return numberedFrame(provoked, { source: NETWORK_MAC, length: 60 + (provoked % 1000) });
      });
      for (const frame of frames) {
        if (!near.deliver(frame, 0, frame.length)) near.countDroppedToGuest();
      }
      return Promise.resolve(frames);
    },
    close: () => far.close(),
  };
});
