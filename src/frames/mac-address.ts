/**
 * MAC addresses as numbers: 48 bits fit into a double, so that a table of them costs no allocation a frame.
 */

/** A MAC address as one number, 0 to 2^48 - 1. */
export type MacNumber = number;

/** Where source and destination stand in an Ethernet header. */
export const MAC_OFFSET = { destination: 0, source: 6 } as const;

/** Reads the address at `bytes[offset]`. */
export function readMac(bytes: Uint8Array, offset: number): MacNumber {
  const high =
    ((bytes[offset] ?? 0) << 16) | ((bytes[offset + 1] ?? 0) << 8) | (bytes[offset + 2] ?? 0);
  const low =
    ((bytes[offset + 3] ?? 0) << 16) | ((bytes[offset + 4] ?? 0) << 8) | (bytes[offset + 5] ?? 0);
  return high * 0x1000000 + low;
}

/** Writes the address to `bytes[offset]`. */
export function writeMac(bytes: Uint8Array, offset: number, mac: MacNumber): void {
  let rest = mac;
  for (let i = 5; i >= 0; i--) {
    bytes[offset + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Multicast, broadcast among it: the group bit of the first byte. */
export function isGroupAddress(bytes: Uint8Array, offset: number): boolean {
  return ((bytes[offset] ?? 0) & 1) === 1;
}

/** ff:ff:ff:ff:ff:ff. */
export function isBroadcast(bytes: Uint8Array, offset: number): boolean {
  return readMac(bytes, offset) === 0xffffffffffff;
}

/** The way people write it: `52:54:00:12:34:56`. */
export function formatMac(mac: MacNumber): string {
  const digits = mac.toString(16).padStart(12, "0");
  return (digits.match(/../g) ?? []).join(":");
}
