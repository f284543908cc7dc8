/**
 * Ethernet frames for tests: numbered, so that order and loss show, and of any length.
 */
import type { FrameBatch, NetBackend } from "../../src/backend.js";

/** Addresses that tests use: locally administered. */
export const GUEST_MAC = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
export const NETWORK_MAC = Uint8Array.of(0x52, 0x55, 0x0a, 0x00, 0x02, 0x02);

/** Type of the frames: for local experiments (IEEE 802, 88b5). */
const ETHER_TYPE = [0x88, 0xb5] as const;

/** What a numbered frame can be told. */
export interface NumberedFrameOptions {
  readonly destination?: Uint8Array;
  readonly source?: Uint8Array;
  /** Bytes, at least 18. Default 60. */
  readonly length?: number;
}

/** A frame that carries `index` behind its header, and bytes derived from it behind that. */
export function numberedFrame(index: number, options: NumberedFrameOptions = {}): Uint8Array {
  const frame = new Uint8Array(options.length ?? 60);
  frame.set(options.destination ?? NETWORK_MAC, 0);
  frame.set(options.source ?? GUEST_MAC, 6);
  frame.set(ETHER_TYPE, 12);
  new DataView(frame.buffer).setUint32(14, index);
  for (let i = 18; i < frame.length; i++) frame[i] = (index * 31 + i) & 0xff;
  return frame;
}

/** The number of a frame made by {@link numberedFrame}; undefined where its bytes are not what they must be. */
export function frameIndex(frame: Uint8Array): number | undefined {
  if (frame.length < 18) return undefined;
  const index = new DataView(frame.buffer, frame.byteOffset).getUint32(14);
  for (let i = 18; i < frame.length; i++) {
    if (frame[i] !== ((index * 31 + i) & 0xff)) return undefined;
  }
  return index;
}

/** Frames put side by side, with a gap of `gapBytes` before each, as a batch. */
export function batchOf(frames: readonly Uint8Array[], gapBytes = 3): FrameBatch {
  const total = frames.reduce((sum, frame) => sum + gapBytes + frame.length, 0);
  const bytes = new Uint8Array(total).fill(0xee);
  // More entries than frames: what lies beyond `count` means nothing.
  const offsets = new Uint32Array(frames.length + 2).fill(0xffffffff);
  const lengths = new Uint32Array(frames.length + 2).fill(0xffffffff);
  let end = 0;
  frames.forEach((frame, i) => {
    end += gapBytes;
    bytes.set(frame, end);
    offsets[i] = end;
    lengths[i] = frame.length;
    end += frame.length;
  });
  return { bytes, count: frames.length, offsets, lengths };
}

/** Copies of a batch's frames. */
export function framesOf(batch: FrameBatch): Uint8Array[] {
  return Array.from({ length: batch.count }, (_, i) => {
    const start = batch.offsets[i] ?? NaN;
    return Uint8Array.from(batch.bytes.subarray(start, start + (batch.lengths[i] ?? NaN)));
  });
}

/** Receives on a backend from now on: numbers of the frames that come, NaN for one whose bytes are not what they must be. */
export function collectIndices(backend: NetBackend): number[] {
  const arrived: number[] = [];
  backend.callbacks = {
    onFrames: (batch) => {
      for (const frame of framesOf(batch)) arrived.push(frameIndex(frame) ?? NaN);
    },
  };
  backend.enableReceive();
  return arrived;
}

/** Makes frames of the network's, numbered on from call to call, of many lengths. */
export function networkFrameMaker(
  addresses: Pick<NumberedFrameOptions, "destination"> = {},
): (count: number) => Uint8Array[] {
  let made = 0;
  return (count) =>
    Array.from({ length: count }, () => {
      made++;
      const length = 60 + (made % 1000);
      return numberedFrame(made, { source: NETWORK_MAC, ...addresses, length });
    });
}
