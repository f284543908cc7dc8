/**
 * The native addon behind TAP devices (native/tap.c) as TypeScript sees it, and the kernel's numbers (linux/if_tun.h).
 */
import { loadAddon, type DescriptorCalls } from "../addons/load-addon.js";

/** What a {@link FramePort} tells its callback: what happened, and the count or errno that goes with it. */
export const PortEvent = { frames: 0, writable: 1, failed: 2 } as const;

/** What became of a frame. */
export const PortStatus = { taken: 0, dropped: 1, mustWait: 2 } as const;

/** Where a {@link FramePort} leaves its answers. */
export const PortAnswer = {
  /** Of `sendBatch`: frames consumed, those dropped among them, and bytes of the taken ones without header. */
  consumed: 0,
  dropped: 1,
  /** Why the last frame was dropped. */
  errno: 2,
  bytes: 3,
  /** Frames read, since the port was made, that could not be handed on. */
  unreadable: 4,
  /** Of a port on vhost-net: how often it woke the kernel, and was woken. */
  kicks: 5,
  calls: 6,
} as const;

/** Entries of the array for answers. */
export const PORT_ANSWERS = 7;

/** Pieces that `sendGathered` takes. */
export const MAX_PIECES = 64;

/** See native/frame-port.h. */
export interface FramePort {
  send(frame: Uint8Array): number;
  sendGathered(pieces: readonly Uint8Array[]): number;
  sendBatch(bytes: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number): number;
  readNow(bytes: Uint8Array, offsets: Uint32Array, lengths: Uint32Array): number;
  setReading(on: boolean): void;
  /** Stops reading, and waiting for room to write; answers whether it waited for that. */
  pause(): boolean;
  /** `offloads` (of {@link TunOffload}): what the NIC takes unfinished. A frame that leaves more to be done is dropped and counted. */
  setHeaders(kernelLength: number, nicLength: number, bigEndian: boolean, offloads: number): void;
  setReferenced(on: boolean): void;
  /** Frames that were taken and not passed on yet. Where that is not 0, the event `writable` tells when there are none. */
  drain(): number;
  /** Forgets what waits to be read in memory of ours, which only vhost-net has. */
  discard(): void;
  /** Descriptors that are kept are the caller's. */
  close(keepDescriptors: boolean): void;
}

/** What every port is given at last: where messages go, and who is told. */
export type PortMemory = [
  bytes: Uint8Array,
  offsets: Uint32Array,
  lengths: Uint32Array,
  answers: Uint32Array,
  callback: (event: number, value: number) => void,
];

/** Makes a port, which owns the descriptor from then on. */
export type FramePortClass = new (
  fd: number,
  /** False where messages are no frames and may be shorter than an Ethernet header. */
  isEthernet: boolean,
  ...memory: PortMemory
) => FramePort;

/** Makes a port on vhost-net, which owns both descriptors from then on. The TAP's header, if any, has 12 bytes. */
export type VhostPortClass = new (
  tapFd: number,
  vhostFd: number,
  tapHasHeader: boolean,
  busyPollUs: number,
  ...memory: PortMemory
) => FramePort;

/** See native/descriptors.h. All throw Errors with the system's `code`. */
export interface TapAddon extends DescriptorCalls {
  readonly FramePort: FramePortClass;
  readonly VhostPort: VhostPortClass;
  /** A negative namespace is the thread's own. */
  openTun(path: string, namespaceFd: number): number;
  openNetlink(namespaceFd: number, groups: number): number;
  setInterface(fd: number, name: string, flags: number): string;
  getInterface(fd: number): { readonly name: string; readonly flags: number };
  control(fd: number, request: TunRequest, value: number): number;
  getDeviceNamespace(fd: number): number;
  /** Needs no right, whichever namespace the interface is in. */
  getHardwareAddress(fd: number): Uint8Array;
  prepareDescriptor(fd: number): number;
}

/** Flags of an interface (`IFF_…`). */
export const TunFlag = {
  tap: 0x0002,
  noPacketInformation: 0x1000,
  header: 0x4000,
  exclusive: 0x8000,
  multiQueue: 0x0100,
  attachQueue: 0x0200,
  detachQueue: 0x0400,
  persistent: 0x0800,
} as const;

/** Numbers of requests (`TUN…`) that take or give an int. */
export const TunRequest = {
  setPersistent: 203,
  setOwner: 204,
  setGroup: 206,
  getFeatures: 207,
  setOffload: 208,
  getSendBuffer: 211,
  setSendBuffer: 212,
  getHeaderLength: 215,
  setHeaderLength: 216,
  setQueue: 217,
  setLittleEndian: 220,
  getLittleEndian: 221,
  setBigEndian: 222,
  getBigEndian: 223,
  setSteering: 224,
  setFilter: 225,
  setCarrier: 226,
} as const;

/** One of the values of {@link TunRequest}. */
export type TunRequest = (typeof TunRequest)[keyof typeof TunRequest];

/** Offloads (`TUN_F_…`): what the kernel may leave undone in frames that it hands out. */
export const TunOffload = {
  checksum: 0x01,
  tso4: 0x02,
  tso6: 0x04,
  ecn: 0x08,
  ufo: 0x10,
  uso4: 0x20,
  uso6: 0x40,
} as const;

/** Loads the addon. @throws SlirpError `addonUnavailable` */
export function loadTapAddon(): TapAddon {
  return loadAddon("tap") as TapAddon;
}
