/** A way into a stack, past its face: for making it fail, and for measuring it. */
import type { Slirp } from "../../src/slirp/slirp.js";
import type { Stack } from "../../src/slirp/stack.js";

/** The stack behind a backend. */
export function insideOf(slirp: Slirp): Stack {
  return (slirp as unknown as { readonly stack: Stack }).stack;
}

/** Makes C give up: an assertion of libslirp's fails, for no forward has an address of family 0. */
export function failAssertion(slirp: Slirp): unknown {
  const { instance, pointer } = insideOf(slirp);
  return insideOf(slirp).call(() =>
    instance.withBytes(new Uint8Array(128), (address) =>
      instance.exports.slirp_add_hostxfwd(pointer, address, 28, address, 28, 0),
    ),
  );
}

/**
 * The module with another upper limit for its memory: section 5 of the binary has it (WebAssembly core specification,
 * 5.5.8), as a number in LEB128 that is written with the same number of bytes.
 */
export function withMemoryLimit(module: Uint8Array, pages: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(module);
  const readNumber = (at: number): { value: number; end: number } => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? NaN;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return { value, end: at };
    }
  };
  for (let at = 8; at < bytes.length;) {
    const { value: size, end: start } = readNumber(at + 1);
    if (bytes[at] !== 5) {
      at = start + size;
      continue;
    }
    // One memory, flag 1 (it has a limit), its size at first, its limit.
    const limitAt = readNumber(start + 2).end;
    const { end } = readNumber(limitAt);
    for (let i = limitAt, rest = pages; i < end; i++, rest >>= 7) {
      bytes[i] = (rest & 0x7f) | (i < end - 1 ? 0x80 : 0);
    }
    return bytes;
  }
  throw new Error("a module without memory");
}
