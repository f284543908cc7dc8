/**
 * Ethernet frames on a BroadcastChannel: a cable between the tabs of one origin, and between workers of one process in Node.
 *
 * The format is v86's (`relay_url: "inbrowser"`): the channel is named `v86-inbrowser-ID`, ID being the number of the guest's card, 0 for
 * nearly all, and each message is one frame, a Uint8Array. Everybody on the channel gets every frame but his own.
 */

/** What v86 puts before the id. */
const CHANNEL_PREFIX = "v86-inbrowser-";

/** The name of the channel that v86 has for a card. */
export function frameChannelName(id: number | string = 0): string {
  return `${CHANNEL_PREFIX}${String(id)}`;
}

/** What we need of a BroadcastChannel. */
interface Channel {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** See the top of the file. */
export class FrameChannel {
  readonly #channel: Channel;

  /** `onFrame` is given each frame that others send; the bytes are its own. Messages that are no bytes are ignored. */
  constructor(name: string, onFrame: (frame: Uint8Array) => void) {
    this.#channel = new BroadcastChannel(name) as Channel;
    this.#channel.onmessage = ({ data }) => {
      if (data instanceof Uint8Array) onFrame(data);
      else if (data instanceof ArrayBuffer) onFrame(new Uint8Array(data));
    };
  }

  /** Sends a copy of `bytes[offset, offset + length)` to everybody else. */
  post(bytes: Uint8Array, offset: number, length: number): void {
    // A message that is a view would take the whole memory behind it along.
    this.#channel.postMessage(bytes.slice(offset, offset + length));
  }

  /** Nothing is sent or comes any more. */
  close(): void {
    this.#channel.onmessage = null;
    this.#channel.close();
  }
}
