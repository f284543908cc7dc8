/**
 * Entry `slirp-wasm/qemu`: QEMU guests on backends, over QEMU's socket NICs.
 */
export { listenQemu, type ListenQemuOptions, type QemuServer } from "./nics/qemu-listen.js";
export {
  connectQemu,
  MAX_RECONNECT_MS,
  type ConnectQemuOptions,
  type QemuClient,
} from "./nics/qemu-connect.js";
export {
  openQemuDatagram,
  type DatagramAddress,
  type QemuDatagramNic,
  type QemuDatagramOptions,
  type QemuDatagramStatistics,
} from "./nics/qemu-dgram.js";
export { formatQemuAddress, type QemuAddress } from "./nics/qemu-address.js";
export { MAX_STREAM_FRAME_BYTES } from "./nics/qemu-framing.js";
export type { QemuLinkLimits } from "./nics/qemu-link.js";
export { OwnBackends, SharedBackend, type BackendSource } from "./nics/guest-backends.js";
export { createSwitch, FrameSwitch, type FrameSwitchOptions } from "./frames/frame-switch.js";
export type { FrameQueueLimits } from "./frames/frame-queue.js";
export type { LogSink } from "./log-sink.js";
