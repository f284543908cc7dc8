/**
 * A stack's state as bytes (slirp_state_save of libslirp.h): DHCP's leases, guest channels and their connections. Other
 * connections end with the stack that had them: their sockets are the host's.
 *
 * Before libslirp's own format stand four bytes, "slw1", the format's version and the length of what follows, each 32 bits
 * little-endian: libslirp itself takes a file that is cut off for a whole one. Beyond that a saved state is believed, as
 * libslirp believes it; what a forged one can harm is its own stack's linear memory.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import { nullPointer, type Pointer } from "./module-instance.js";
import type { Stack } from "./stack.js";

const MAGIC = 0x31776c73;
const HEADER_BYTES = 12;

/** @throws SlirpError `stackFailed`. */
export function saveState(stack: Stack): Uint8Array<ArrayBuffer> {
  const { instance } = stack;
  const answer = stack.call(() => instance.exports.api_state_save());
  if (answer === nullPointer) {
    throw new SlirpError(ErrorCode.stackFailed, "libslirp could not save its state");
  }
  const [bytes = 0, length = 0] = instance.HEAPU32.subarray(answer >>> 2, (answer >>> 2) + 2);
  const saved = new Uint8Array(HEADER_BYTES + length);
  const view = new DataView(saved.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, instance.exports.slirp_state_version(), true);
  view.setUint32(8, length, true);
  saved.set(instance.bytesAt(bytes, length), HEADER_BYTES);
  instance.exports.free(bytes as Pointer);
  instance.exports.free(answer);
  return saved;
}

/** @throws SlirpError `invalidConfiguration` where the bytes are no saved state, or of another libslirp or configuration. */
export function loadState(stack: Stack, saved: Uint8Array): void {
  const { instance } = stack;
  const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
  if (saved.length < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) {
    throw new SlirpError(ErrorCode.invalidConfiguration, "these bytes are no saved stack");
  }
  const version = view.getUint32(4, true);
  const current = instance.exports.slirp_state_version();
  if (version > current) {
    const text = `the saved stack is of version ${String(version)}; this one reads up to ${String(current)}`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  const body = saved.subarray(HEADER_BYTES);
  const length = view.getUint32(8, true);
  if (body.length !== length) {
    const text = `the saved stack has ${String(body.length)} bytes behind its header instead of ${String(length)}`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  const result = stack.call(() =>
    instance.withBytes(body, (bytes) =>
      instance.exports.api_state_load(bytes, body.length, version),
    ),
  );
  if (result < 0) {
    const text =
      "the saved stack is damaged, or was made with other options: its guest channels must be opened, at the same addresses, before it is loaded";
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  stack.loop.requestSoon();
}
