/**
 * A cable between two backends: what one gives towards its guest, the other is sent, both ways. So a TAP becomes the guest of a stack.
 *
 * A batch is handed on as it is, without a copy. Only when the other side must wait, what it did not take is kept, and the side that it
 * came from is told to keep the rest for itself until there is room: nothing is queued here beyond that one batch.
 */
import { SendStatus, type FrameBatch, type NetBackend } from "../backend.js";
import { VirtioNetFeature } from "../virtio-net.js";

/** How a cable is laid. */
export interface BackendCableOptions {
  /** Told once when one of the two ended by itself. */
  readonly onError?: (error: Error) => void;
}

/** What a backend may leave to the NIC in frames that it gives, and what that lets the other one be sent. */
const CROSSED = [
  [VirtioNetFeature.guestChecksum, VirtioNetFeature.checksum],
  [VirtioNetFeature.guestTso4, VirtioNetFeature.hostTso4],
  [VirtioNetFeature.guestTso6, VirtioNetFeature.hostTso6],
  [VirtioNetFeature.guestEcn, VirtioNetFeature.hostEcn],
  [VirtioNetFeature.guestUfo, VirtioNetFeature.hostUfo],
  [VirtioNetFeature.guestUso4 | VirtioNetFeature.guestUso6, VirtioNetFeature.hostUso],
] as const;

/** With num_buffers, as virtio 1.0 and later have it. */
const HEADER_LENGTH = 12;

/** Joins two backends, so that each is the other's guest. Both stay their owner's, who closes them after the cable. */
export class BackendCable {
  readonly #ends: readonly [End, End];

  /** Agrees on what both sides can do, sets their callbacks and enables receiving. */
  constructor(first: NetBackend, second: NetBackend, options: BackendCableOptions = {}) {
    agreeOnFeatures(first, second);
    const ends = [new End(first, second), new End(second, first)] as const;
    this.#ends = ends;
    const [one, other] = ends;
    for (const [end, opposite] of [
      [one, other],
      [other, one],
    ] as const) {
      end.from.callbacks = {
        onFrames: (batch) => {
          end.hand(batch);
        },
        onWritable: () => {
          opposite.resume();
        },
        onError: (error) => {
          options.onError?.(error);
        },
      };
    }
    for (const { from } of ends) from.enableReceive();
  }

  /** Pulls it out. Of frames that wait for room, none goes on. */
  close(): void {
    for (const { from } of this.#ends) from.callbacks = undefined;
  }
}

/** One direction. */
class End {
  readonly from: NetBackend;
  readonly #to: NetBackend;
  #waiting: FrameBatch | undefined;

  constructor(from: NetBackend, to: NetBackend) {
    this.from = from;
    this.#to = to;
  }

  hand(batch: FrameBatch): void {
    const result = this.#to.sendBatch(batch);
    if (result.status !== SendStatus.mustWait) return;
    this.#waiting = copyFrom(batch, result.consumed);
    this.from.disableReceive();
  }

  /** There is room again. */
  resume(): void {
    const batch = this.#waiting;
    if (!batch) return;
    this.#waiting = undefined;
    const result = this.#to.sendBatch(batch);
    if (result.status === SendStatus.mustWait) this.#waiting = copyFrom(batch, result.consumed);
    else this.from.enableReceive();
  }
}

function copyFrom({ bytes, offsets, lengths, count }: FrameBatch, first: number): FrameBatch {
  const rest = lengths.slice(first, count);
  const copied = new Uint8Array(rest.reduce((sum, length) => sum + length, 0));
  const places = new Uint32Array(rest.length);
  let end = 0;
  for (const [i, length] of rest.entries()) {
    const start = offsets[first + i] ?? 0;
    places[i] = end;
    copied.set(bytes.subarray(start, start + length), end);
    end += length;
  }
  return { bytes: copied, offsets: places, lengths: rest, count: rest.length };
}

/** Each side is given what it can do as far as the other one can take it. Nothing in common: plain frames. */
function agreeOnFeatures(first: NetBackend, second: NetBackend): void {
  const can = [first.capabilities(HEADER_LENGTH), second.capabilities(HEADER_LENGTH)] as const;
  const features: [bigint, bigint] = [0n, 0n];
  for (const [i, j] of [
    [0, 1],
    [1, 0],
  ] as const) {
    for (const [gives, takes] of CROSSED) {
      if ((can[i] & gives) !== gives || (can[j] & takes) === 0n) continue;
      features[i] |= gives;
      features[j] |= takes;
    }
  }
  const length = features[0] === 0n && features[1] === 0n ? 0 : HEADER_LENGTH;
  first.setCapabilities(features[0], length);
  second.setCapabilities(features[1], length);
}
