/**
 * A NIC that is a BroadcastChannel: the guests of other tabs, on a backend of this one.
 *
 * One tab has the stack, and a switch on it; its own guest has a port of the switch, and the channel has another. In the other tabs a
 * guest is attached to the backend `inbrowser` (`src/backends/broadcast-channel-backend.ts`), or is on v86's own network of that name.
 *
 *     const bridge = createSwitch(await createSlirp({ relay }));
 *     attachV86(emulator, bridge.openPort("v86"));
 *     attachBroadcastChannel(bridge.openPort("tabs"));
 *
 * Two tabs with a stack on one channel are two gateways with one address: see to it that there is only one.
 */
import { SendStatus, type NetBackend } from "../backend.js";
import { FrameChannel, frameChannelName } from "../frames/frame-channel.js";
import { FrameQueue } from "../frames/frame-queue.js";
import { SlirpError } from "../errors.js";

/** How it is attached. */
export interface AttachBroadcastChannelOptions {
  /** Name of the channel. Default `v86-inbrowser-0`, that of v86's first card. */
  readonly channel?: string;
  /** Frames of guests that are kept while the backend says mustWait; later ones are dropped. Default 1024. */
  readonly maxWaitingFrames?: number;
}

/** A channel that is on the network. */
export interface BroadcastChannelAttachment {
  /** Frames of guests that were dropped because the backend had no room for longer than the queue lasted. */
  readonly droppedFromGuest: number;
  /** Takes the channel off the backend, which stays open. Safe to call twice. */
  detach(): void;
  [Symbol.dispose](): void;
}

/** Puts a channel on a backend: sets the backend's callbacks, header length 0, and turns receiving on. */
export function attachBroadcastChannel(
  backend: NetBackend,
  options: AttachBroadcastChannelOptions = {},
): BroadcastChannelAttachment {
  return new BroadcastChannelNic(backend, options);
}

/** Room for each frame that waits. */
const WAITING_FRAME_BYTES = 1536;

class BroadcastChannelNic implements BroadcastChannelAttachment {
  readonly #backend: NetBackend;
  readonly #channel: FrameChannel;
  readonly #waiting: FrameQueue;
  #dropped = 0;
  #detached = false;

  constructor(backend: NetBackend, options: AttachBroadcastChannelOptions) {
    const { channel = frameChannelName(), maxWaitingFrames = 1024 } = options;
    this.#backend = backend;
    this.#waiting = new FrameQueue({
      maxFrames: maxWaitingFrames,
      maxBytes: maxWaitingFrames * WAITING_FRAME_BYTES,
    });
    backend.setCapabilities(0n, 0);
    this.#channel = new FrameChannel(channel, (frame) => {
      this.#fromGuest(frame);
    });
    backend.callbacks = {
      onFrames: ({ bytes, count, offsets, lengths }) => {
        for (let i = 0; i < count; i++) {
          this.#channel.post(bytes, offsets[i] ?? 0, lengths[i] ?? 0);
        }
      },
      onWritable: () => {
        this.#sendWaiting();
      },
      onError: () => {
        this.detach();
      },
    };
    backend.enableReceive();
  }

  get droppedFromGuest(): number {
    return this.#dropped;
  }

  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#channel.close();
    this.#waiting.clear();
    this.#backend.callbacks = undefined;
    this.#ifOpen(() => {
      this.#backend.disableReceive();
    });
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** A backend may be closed under the NIC: the cable is unplugged then. */
  #ifOpen(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof SlirpError)) throw error;
      this.detach();
    }
  }

  #fromGuest(frame: Uint8Array): void {
    this.#ifOpen(() => {
      const mustWait = this.#waiting.count > 0 || this.#backend.send(frame) === SendStatus.mustWait;
      if (mustWait && !this.#waiting.push(frame, 0, frame.length)) this.#dropped++;
    });
  }

  #sendWaiting(): void {
    const batch = this.#waiting.take(0);
    if (!batch) return;
    this.#ifOpen(() => {
      const { status, consumed } = this.#backend.sendBatch(batch);
      if (status !== SendStatus.mustWait) return;
      for (let i = consumed; i < batch.count; i++) {
        this.#waiting.push(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0);
      }
    });
  }
}
