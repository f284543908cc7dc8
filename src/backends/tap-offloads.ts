/**
 * What a TAP may leave undone in frames, in the words of both sides: features of virtio-net and the kernel's `TUN_F_…`.
 *
 * The kernel is told what it may hand to us ("guest" features). What we may hand to it follows from the same support: whoever can give
 * such frames can take them.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import { GSO_ECN, GsoType, HeaderFlag, VirtioNetFeature } from "../virtio-net.js";
import { TunOffload, TunRequest, type TapAddon } from "./tap-addon.js";
import { codeOf } from "./tap-errors.js";

const { checksum, tso4, tso6, ecn, ufo, uso4, uso6 } = TunOffload;

const USO = uso4 | uso6;
const SEGMENTATION = tso4 | tso6 | ecn | ufo | USO;

/** Each offload with the features that say the same towards the guest, and from it. */
const ROWS: readonly (readonly [offload: number, towards: bigint, from: bigint])[] = [
  [checksum, VirtioNetFeature.guestChecksum, VirtioNetFeature.checksum],
  [tso4, VirtioNetFeature.guestTso4, VirtioNetFeature.hostTso4],
  [tso6, VirtioNetFeature.guestTso6, VirtioNetFeature.hostTso6],
  [ecn, VirtioNetFeature.guestEcn, VirtioNetFeature.hostEcn],
  [ufo, VirtioNetFeature.guestUfo, VirtioNetFeature.hostUfo],
  [uso4, VirtioNetFeature.guestUso4, VirtioNetFeature.hostUso],
  [uso6, VirtioNetFeature.guestUso6, VirtioNetFeature.hostUso],
];

/** Offloads that kernels came to know together, the newest last. */
const GENERATIONS = [
  checksum | tso4 | tso6 | ecn | ufo | USO,
  checksum | tso4 | tso6 | ecn | USO,
  checksum | tso4 | tso6 | ecn | ufo,
  checksum | tso4 | tso6 | ecn,
  checksum | tso4 | tso6,
  checksum,
  0,
] as const;

function trySetOffload(addon: TapAddon, fd: number, offload: number): boolean {
  try {
    addon.control(fd, TunRequest.setOffload, offload);
    return true;
  } catch (error) {
    if (codeOf(error) === "EINVAL") return false;
    throw error;
  }
}

/** Finds out what the kernel can, by asking for it; afterwards those that are given are set. */
export function probeOffloads(addon: TapAddon, fd: number, current: number): number {
  try {
    return GENERATIONS.find((offload) => trySetOffload(addon, fd, offload)) ?? 0;
  } finally {
    setOffloads(addon, fd, current);
  }
}

/** What all have agreed on; 0 where there is none. */
export function commonOffloads(list: readonly number[]): number {
  const [first = 0, ...others] = list;
  const common = others.reduce((all, offloads) => all & offloads, first);
  // ECN says how TCP is cut: without that it is nothing that the kernel takes.
  return (common & (tso4 | tso6)) === 0 ? common & ~ecn : common;
}

/** By the type of a long frame. */
const OFFLOADS_OF_TYPE: Readonly<Record<number, number>> = {
  [GsoType.none]: 0,
  [GsoType.tcp4]: tso4,
  [GsoType.udpFragments]: ufo,
  [GsoType.tcp6]: tso6,
  [GsoType.udpDatagrams]: USO,
};

/** Whether a header's first two bytes leave no more to the NIC than these offloads; as native/port.c has it. */
export function isWithin(offloads: number, flags: number, gsoType: number): boolean {
  const ofType = OFFLOADS_OF_TYPE[gsoType & ~GSO_ECN];
  if (ofType === undefined) return false;
  const needed =
    ofType |
    ((flags & HeaderFlag.needsChecksum) === 0 ? 0 : checksum) |
    ((gsoType & GSO_ECN) === 0 ? 0 : ecn);
  return (needed & ~offloads) === 0;
}

/** The features that a device with these offloads has. */
export function featuresOf(offloads: number): bigint {
  let features = 0n;
  for (const [offload, towards, from] of ROWS) {
    if ((offloads & offload) !== 0) features |= towards | from;
  }
  return features;
}

/** The offloads that features towards the guest stand for. */
export function offloadsOf(features: bigint): number {
  let offloads = 0;
  for (const [offload, towards] of ROWS) if ((features & towards) !== 0n) offloads |= offload;
  return offloads;
}

/** Why the kernel would refuse these; undefined where it takes them. */
export function whyUnfit(offloads: number): string | undefined {
  if ((offloads & SEGMENTATION) !== 0 && (offloads & checksum) === 0) {
    return "long frames have unfinished checksums, so guest segmentation takes guestChecksum";
  }
  const uso = offloads & USO;
  if (uso !== 0 && uso !== USO) return "guestUso4 and guestUso6 come only together";
  if ((offloads & ecn) !== 0 && (offloads & (tso4 | tso6)) === 0) {
    return "guestEcn takes guestTso4 or guestTso6";
  }
  return undefined;
}

/** Which of the offloads that were agreed on are in use; see {@link effectiveOffloads}. */
export interface OffloadSwitches {
  /** Checksums towards the guest may be unfinished. */
  checksum: boolean;
  /** Frames towards the guest may be longer than its MTU. */
  segmentation: boolean;
}

/** The switches do not move each other: segmentation rests while checksums are off, and is back with them. */
export function effectiveOffloads(agreed: number, switches: Readonly<OffloadSwitches>): number {
  if (!switches.checksum) return 0;
  return switches.segmentation ? agreed : agreed & ~SEGMENTATION;
}

/** Sets offloads; a kernel that has lost UFO since it was probed is asked again without it. */
export function setOffloads(addon: TapAddon, fd: number, offloads: number): void {
  if (trySetOffload(addon, fd, offloads)) return;
  if ((offloads & ufo) !== 0 && trySetOffload(addon, fd, offloads & ~ufo)) return;
  const text = `the kernel refuses the offloads 0x${offloads.toString(16)} (TUNSETOFFLOAD)`;
  throw new SlirpError(ErrorCode.unsupportedCapability, text);
}
