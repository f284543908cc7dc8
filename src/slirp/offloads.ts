/**
 * What a NIC and the stack can agree on beyond plain frames, and how the module is told (wasm/offload.h).
 *
 * From the guest the stack takes everything that virtio-net knows. Towards the guest it has long frames for TCP only: datagrams come
 * and go one by one.
 */
import type { HeaderLength } from "../backend.js";
import { VirtioNetFeature } from "../virtio-net.js";

const { checksum, hostTso4, hostTso6, hostEcn, hostUfo, hostUso } = VirtioNetFeature;
const { guestChecksum, guestTso4, guestTso6, guestEcn } = VirtioNetFeature;

const HOST_LONG = hostTso4 | hostTso6 | hostUfo | hostUso;
const GUEST_LONG = guestTso4 | guestTso6;

/** All features, with a header to say them in. */
const STACK_FEATURES = checksum | HOST_LONG | hostEcn | guestChecksum | GUEST_LONG | guestEcn;

/** What there is with a header of this length. */
export function featuresAt(headerLength: HeaderLength): bigint {
  return headerLength === 0 ? 0n : STACK_FEATURES;
}

/** Bits of wasm/offload.h. */
const OffloadBit = { fromGuest: 1, guestChecksum: 2, guestTso4: 4, guestTso6: 8 } as const;

/** The same features as the module knows them. */
export function offloadBits(features: bigint): number {
  const bit = (mask: bigint, value: number): number => ((features & mask) === 0n ? 0 : value);
  return (
    bit(checksum, OffloadBit.fromGuest) |
    bit(guestChecksum, OffloadBit.guestChecksum) |
    bit(guestTso4, OffloadBit.guestTso4) |
    bit(guestTso6, OffloadBit.guestTso6)
  );
}
