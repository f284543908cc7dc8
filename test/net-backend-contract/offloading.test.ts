/**
 * Offloads in software around a backend that has none: a backend like any other, with headers that say something.
 */
import { withOffloads } from "../../src/backends/offloading-backend.js";
import { createBackendPair } from "../support/backend-pair.js";
import { frameIndex, framesOf, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("offloads in software around a pair", () => {
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
    backend: withOffloads(near),
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
