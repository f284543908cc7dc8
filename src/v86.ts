/**
 * Entry `slirp-wasm/v86`: a v86 guest on a backend, and the guests of other tabs.
 */
export {
  BroadcastChannelBackend,
  type BroadcastChannelBackendOptions,
} from "./backends/broadcast-channel-backend.js";
export { createSwitch, FrameSwitch, type FrameSwitchOptions } from "./frames/frame-switch.js";
export {
  attachBroadcastChannel,
  type AttachBroadcastChannelOptions,
  type BroadcastChannelAttachment,
} from "./nics/broadcast-channel-nic.js";
export {
  attachV86,
  type AttachV86Options,
  type V86Attachment,
  type V86AttachmentStatistics,
  type V86Emulator,
} from "./nics/v86.js";
