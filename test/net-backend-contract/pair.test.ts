/**
 * The pair of backends that NIC tests stand on, and with it what all backends on FramePort share.
 */
import { createBackendPair } from "../support/backend-pair.js";
import { collectIndices, networkFrameMaker, numberedFrame } from "../support/frames.js";
import { describeNetBackend } from "./suite.js";

describeNetBackend("pair", () => {
  const { near, far } = createBackendPair();
  const arrived = collectIndices(far);
  const makeFrames = networkFrameMaker();
  return {
    backend: near,
    frameFromGuest: (index) => numberedFrame(index, { length: 60 + (index % 100) }),
    arrivedFromGuest: () => arrived,
    provokeFrames: (count) => {
      const frames = makeFrames(count);
      for (const frame of frames) {
        if (near.deliver(frame, 0, frame.length)) continue;
        near.countDroppedToGuest();
      }
      return Promise.resolve(frames);
    },
    close: () => far.close(),
  };
});
