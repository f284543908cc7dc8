/**
 * Entry `slirp-wasm/offloads`: what virtio-net's offloads leave undone, done on a buffer of one's own. For who has a NIC or a backend
 * that takes less than the other side gives.
 *
 *     const translator = new FrameTranslator(guestOffloads(features), 12);
 *     let left = translator.begin(bytes, offset, length, 12);
 *     for (; left > 0; left--) give(target.subarray(0, translator.next(target, 0)));
 *
 * `withOffloads(backend)` is that as a backend around any other, for a NIC whose guest was promised more than the backend can do, and for a
 * capture of frames as they would be on a wire:
 *
 *     const backend = withOffloads(withCapture(slirp, memory), { usesBackend: false });
 *
 * Features and headers themselves are among `slirp-wasm` (`VirtioNetFeature`, `readHeader`, `writeHeader`).
 */
export {
  OffloadingBackend,
  withOffloads,
  type OffloadingOptions,
} from "./backends/offloading-backend.js";
export { finishChecksum, locateChecksum } from "./frames/frame-checksum.js";
export { FrameJoiner } from "./frames/frame-joiner.js";
export { FrameSegmenter } from "./frames/frame-segmenter.js";
export {
  FrameTranslator,
  guestOffloads,
  hostOffloads,
  type Offloads,
} from "./frames/frame-translator.js";
