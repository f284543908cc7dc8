/**
 * The pair of backends that NIC tests stand on, and with it what all backends on FramePort share.
 */
import { createBackendPair } from "../support/backend-pair.js";
import { frameIndex, framesOf, NETWORK_MAC, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("pair", () => {
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
    backend: near,
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: (count) => {
      const frames = Array.from({ length: count }, () => {
        provoked++;
        return numberedFrame(provoked, { source: NETWORK_MAC, length: 60 + (provoked % 1000) });
      });
      for (const frame of frames) {
        if (near.deliver(frame, 0, frame.length)) continue;
        near.countDroppedToGuest();
      }
      return Promise.resolve(frames);
    },
    close: () => far.close(),
  };
});
