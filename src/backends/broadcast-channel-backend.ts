/**
 * BACKEND `inbrowser`: the guests of other tabs, and the stack that one of them has (`src/nics/broadcast-channel-nic.ts`). The format is
 * v86's own (`src/frames/frame-channel.ts`), so that guests on v86's network are reached as well.
 *
 * A BroadcastChannel always takes what it is given and tells nobody how much of it waits; so does this backend. A guest's own TCP is what
 * bounds it.
 */
import { SendStatus } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { FrameChannel, frameChannelName } from "../frames/frame-channel.js";
import { FramePort } from "../frames/frame-port.js";
import type { FrameQueueLimits } from "../frames/frame-queue.js";
import { ETHERNET_HEADER_LENGTH } from "../virtio-net.js";
import type { BackendKind } from "./registry.js";

/** How it is opened. */
export interface BroadcastChannelBackendOptions {
  /** Name of the channel. Default `v86-inbrowser-0`, that of v86's first card. */
  readonly channel?: string;
  /** What waits for the guest. */
  readonly limits?: FrameQueueLimits;
}

/** The network of other tabs, on a BroadcastChannel: to the guest of this tab it is a cable. */
export class BroadcastChannelBackend extends FramePort {
  readonly #channel: FrameChannel;

  constructor({ channel = frameChannelName(), limits }: BroadcastChannelBackendOptions = {}) {
    super(`inbrowser:${channel}`, limits);
    this.#channel = new FrameChannel(channel, (frame) => {
      const isFrame = frame.length >= ETHERNET_HEADER_LENGTH;
      if (!isFrame || !this.deliver(frame, 0, frame.length)) this.countDroppedToGuest();
    });
  }

  protected override forward(bytes: Uint8Array, offset: number, length: number): SendStatus {
    this.#channel.post(bytes, offset, length);
    return SendStatus.taken;
  }

  protected override onClose(): void {
    this.#channel.close();
  }
}

/** `inbrowser` and `inbrowser:ID` for the registry; the ID is what v86 puts into the channel's name, 0 by default. */
export const BROADCAST_CHANNEL_KIND: BackendKind = {
  prefixes: ["inbrowser"],
  usage: "inbrowser:0",
  open: async (name) => {
    const id = /^inbrowser(?::(.+))?$/.exec(name);
    if (id) return new BroadcastChannelBackend({ channel: frameChannelName(id[1]) });
    const text = `the channel of tabs is ${JSON.stringify(name)}; write "inbrowser", or "inbrowser:ID" for v86's channel of that ID`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  },
};
