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
import type { NetBackend } from "../backend.js";
import { FrameChannel, frameChannelName } from "../frames/frame-channel.js";
import { unlessClosed } from "./unless-closed.js";
import { WaitingSender } from "./waiting-sender.js";

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

class BroadcastChannelNic implements BroadcastChannelAttachment {
  readonly #backend: NetBackend;
  readonly #channel: FrameChannel;
  readonly #sender: WaitingSender;
  #detached = false;

  constructor(backend: NetBackend, options: AttachBroadcastChannelOptions) {
    const { channel = frameChannelName(), maxWaitingFrames = 1024 } = options;
    this.#backend = backend;
    this.#sender = new WaitingSender(backend, maxWaitingFrames);
    backend.setCapabilities(0n, 0);
    this.#channel = new FrameChannel(channel, (frame) => {
      this.#ifOpen(() => {
        this.#sender.send(frame);
      });
    });
    backend.callbacks = {
      onFrames: ({ bytes, count, offsets, lengths }) => {
        for (let i = 0; i < count; i++) {
          this.#channel.post(bytes, offsets[i] ?? 0, lengths[i] ?? 0);
        }
      },
      onWritable: () => {
        this.#ifOpen(() => {
          this.#sender.resume();
        });
      },
      onError: () => {
        this.detach();
      },
    };
    backend.enableReceive();
  }

  get droppedFromGuest(): number {
    return this.#sender.dropped;
  }

  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#channel.close();
    this.#sender.clear();
    this.#backend.callbacks = undefined;
    this.#ifOpen(() => {
      this.#backend.disableReceive();
    });
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  #ifOpen(act: () => void): void {
    unlessClosed(act, () => {
      this.detach();
    });
  }
}
