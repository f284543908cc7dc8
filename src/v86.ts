/**
 * Entry `slirp-wasm/v86`: a v86 guest on a backend.
 */
export {
  attachV86,
  type AttachV86Options,
  type V86Attachment,
  type V86AttachmentStatistics,
  type V86Emulator,
} from "./nics/v86.js";
