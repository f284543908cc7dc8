/** Looks at the frames that a backend hands on to the cable that it is on. */
import type { FrameBatch, HeaderLength, NetBackend } from "../../src/backend.js";
import { HeaderFlag } from "../../src/virtio-net.js";
import { framesOf } from "./frames.js";

/** See the top of the file. */
export class FrameWatch {
  /** Bytes of the longest frame, without its header. */
  longest = 0;
  /** Frames whose checksum is unfinished, by what their header says. */
  unfinished = 0;

  private constructor(private readonly headerLength: HeaderLength) {}

  private look(batch: FrameBatch): void {
    for (const frame of framesOf(batch)) {
      this.longest = Math.max(this.longest, frame.length - this.headerLength);
      const flags = this.headerLength === 0 ? 0 : (frame[0] ?? 0);
      if ((flags & HeaderFlag.needsChecksum) !== 0) this.unfinished++;
    }
  }

  /** From now on. The backend has its callbacks already. */
  static on(backend: NetBackend, headerLength: HeaderLength = 12): FrameWatch {
    const watch = new FrameWatch(headerLength);
    const { callbacks } = backend;
    if (!callbacks) throw new Error("there is no cable");
    backend.callbacks = {
      ...callbacks,
      onFrames: (batch) => {
        watch.look(batch);
        callbacks.onFrames(batch);
      },
    };
    return watch;
  }
}
