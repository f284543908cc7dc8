/**
 * Frames that wait for a NIC while it agrees with the stack on something else. Each gets the header that holds from now on, for which
 * wasm/frames.c leaves room; one whose header says more than the NIC takes now is dropped, for without it the frame would pass for whole.
 */
import type { HeaderLength } from "../backend.js";
import { GsoType, HeaderFlag, VirtioNetFeature, writeZeroedHeader } from "../virtio-net.js";
import { SharedField, type ModuleInstance } from "./module-instance.js";

/** The bytes of a header that are about its frame; num_buffers behind them is not. */
const FIELD_BYTES = 10;

const { guestChecksum, guestTso4, guestTso6 } = VirtioNetFeature;

/** What a NIC needs for a frame with these first two bytes in its header: the stack knows no other kinds towards it. */
function neededFeatures(flags: number, gsoType: number): bigint {
  const tcp4 = gsoType === GsoType.tcp4 ? guestTso4 : 0n;
  const tcp6 = gsoType === GsoType.tcp6 ? guestTso6 : 0n;
  return tcp4 | tcp6 | ((flags & HeaderFlag.needsChecksum) === 0 ? 0n : guestChecksum);
}

/** See the top of the file. What is dropped is counted. */
export function adaptWaitingFrames(
  instance: ModuleInstance,
  from: HeaderLength,
  to: HeaderLength,
  features: bigint,
): void {
  const { HEAPU8, HEAPU32 } = instance;
  const offsets = instance.get(SharedField.outputOffsets) >>> 2;
  const lengths = instance.get(SharedField.outputLengths) >>> 2;
  const first = instance.get(SharedField.outputFirst);
  const count = instance.get(SharedField.outputCount);
  let kept = first;
  for (let i = first; i < count; i++) {
    const frame = HEAPU32[offsets + i]! + from;
    const said = HEAPU8.slice(frame - from, frame).subarray(0, FIELD_BYTES);
    const [flags = 0, gsoType = 0] = said;
    if ((neededFeatures(flags, gsoType) & ~features) !== 0n) continue;
    writeZeroedHeader(HEAPU8, frame - to, to);
    if (to > 0) HEAPU8.set(said, frame - to);
    HEAPU32[offsets + kept] = frame - to;
    HEAPU32[lengths + kept] = HEAPU32[lengths + i]! - from + to;
    kept++;
  }
  instance.set(SharedField.outputCount, kept);
  const dropped = instance.get(SharedField.outputDropped) + count - kept;
  instance.set(SharedField.outputDropped, dropped);
}
