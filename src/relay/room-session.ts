/**
 * One member of a room: raw Ethernet frames, one a binary message (websockproxy, v86's default network, our backend `ws:`).
 *
 * A member that sends more frames than it may is not read for a while, and so is one whose room is being made or has no room for more;
 * nothing of it is lost.
 * Frames towards a member that reads slowly are dropped, as a switch does it.
 */
import { SendStatus, type NetBackend } from "../backend.js";
import type { RelayContext, RelaySession } from "./relay-context.js";
import type { RelayLink } from "./relay-link.js";
import type { RoomMember, Rooms } from "./rooms.js";
import { TokenBucket } from "./token-bucket.js";

/** Going away, and an error of ours (RFC 6455, 7.4.1). */
const CloseCode = { goingAway: 1001, internalError: 1011 } as const;

/** Which room, and how it is called in logs. */
export interface RoomAddress {
  readonly key: string;
  readonly name: string;
}

/** See the top of the file. */
export class RoomSession implements RelaySession, RoomMember {
  readonly #link: RelayLink;
  readonly #rooms: Rooms;
  readonly #address: RoomAddress;
  readonly #rate: TokenBucket;
  readonly #context: RelayContext;
  #port: NetBackend | undefined;
  /** Frames that wait for the room, or for its gateway: what was read at once before reading stopped. */
  #waiting: Buffer[] = [];
  /** No frame goes to the room any more: its ports may be closed. */
  #isClosing = false;
  #over = false;

  constructor(context: RelayContext, link: RelayLink, rooms: Rooms, address: RoomAddress) {
    this.#context = context;
    this.#link = link;
    this.#rooms = rooms;
    this.#address = address;
    this.#rate = new TokenBucket(context.limits.framesPerSecond);
    link.setReading(false);
    void this.#join();
  }

  receive(message: Buffer, isBinary: boolean): void {
    if (this.#isClosing || !isBinary) return;
    this.#link.pauseFor(this.#rate.take(1));
    if (!this.#port || this.#waiting.length > 0) this.#waiting.push(message);
    else if (this.#port.send(message) === SendStatus.mustWait) this.#keep(message);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#isClosing = true;
    this.#waiting = [];
    void this.#port?.close();
    this.#rooms.leave(this.#address.key, this);
  }

  drain(): void {
    this.#close(CloseCode.goingAway, "the relay is ending");
  }

  onRoomFailed(): void {
    this.#close(CloseCode.internalError, "the room's gateway has failed");
  }

  async #join(): Promise<void> {
    const { key, name } = this.#address;
    const port = await this.#rooms.join(key, name, this).catch(() => undefined);
    if (!port) return;
    if (this.#isClosing) {
      await port.close();
      return;
    }
    this.#port = port;
    port.callbacks = {
      onFrames: ({ bytes, count, offsets, lengths }) => {
        for (let i = 0; i < count; i++) {
          const start = offsets[i] ?? 0;
          // A batch is only lent.
          this.#toMember(Buffer.from(bytes.subarray(start, start + (lengths[i] ?? 0))));
        }
      },
      onWritable: () => {
        this.#sendWaiting();
      },
    };
    port.enableReceive();
    this.#sendWaiting();
  }

  /** Its answer must be read, so that the WebSocket ends in order. */
  #close(code: number, reason: string): void {
    this.#isClosing = true;
    this.#waiting = [];
    this.#link.setReading(true);
    this.#link.close(code, reason);
  }

  #toMember(frame: Buffer): void {
    if (!this.#link.sendOrDrop(frame)) this.#context.metrics.droppedFrames.inc();
  }

  #keep(frame: Buffer): void {
    this.#waiting.push(frame);
    this.#link.setReading(false);
  }

  #sendWaiting(): void {
    if (this.#isClosing) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [index, frame] of waiting.entries()) {
      if (this.#port?.send(frame) !== SendStatus.mustWait) continue;
      this.#waiting = waiting.slice(index);
      this.#link.setReading(false);
      return;
    }
    this.#link.setReading(true);
  }
}
