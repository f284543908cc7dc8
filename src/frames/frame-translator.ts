/**
 * From a frame with a virtio-net header to what its receiver can take: as it is, with its checksum finished, or cut into segments.
 *
 * A sender and a receiver that have not agreed on the same offloads (two NICs on one backend, a backend behind another) meet here, and
 * nowhere else a flag of the header is thrown away: a frame whose checksum is unfinished never goes on as if it were whole.
 */
import type { HeaderLength } from "../backend.js";
import { finishChecksum } from "./frame-checksum.js";
import { FrameSegmenter } from "./frame-segmenter.js";
import {
  clearHeader,
  emptyHeader,
  ETHERNET_HEADER_LENGTH,
  GSO_ECN,
  GsoType,
  HeaderFlag,
  readHeader,
  VirtioNetFeature,
  writeHeader,
} from "../virtio-net.js";

/** What someone who receives frames takes, besides plain ones. All but `checksum` need it. */
export interface Offloads {
  /** Unfinished checksums. */
  readonly checksum: boolean;
  /** TCP segments over IPv4 in one long frame (TSO). */
  readonly tcp4: boolean;
  /** The same over IPv6. */
  readonly tcp6: boolean;
  /** Such frames whose first segment has CWR set. */
  readonly ecn: boolean;
  /** A datagram that is to be sent as IP fragments (UFO). */
  readonly udpFragments: boolean;
  /** Datagrams of one size in one long frame (USO). */
  readonly udpDatagrams: boolean;
}

/** What a NIC takes, by the features that were set. */
export function guestOffloads(features: bigint): Offloads {
  const { guestChecksum, guestTso4, guestTso6, guestEcn, guestUfo, guestUso4, guestUso6 } =
    VirtioNetFeature;
  const has = (mask: bigint): boolean => (features & mask) === mask;
  return {
    checksum: has(guestChecksum),
    tcp4: has(guestChecksum | guestTso4),
    tcp6: has(guestChecksum | guestTso6),
    ecn: has(guestEcn),
    udpFragments: has(guestChecksum | guestUfo),
    udpDatagrams: has(guestChecksum | guestUso4 | guestUso6),
  };
}

/** What a backend takes, by the features that were set. */
export function hostOffloads(features: bigint): Offloads {
  const { checksum, hostTso4, hostTso6, hostEcn, hostUfo, hostUso } = VirtioNetFeature;
  const has = (mask: bigint): boolean => (features & mask) === mask;
  return {
    checksum: has(checksum),
    tcp4: has(checksum | hostTso4),
    tcp6: has(checksum | hostTso6),
    ecn: has(hostEcn),
    udpFragments: has(checksum | hostUfo),
    udpDatagrams: has(checksum | hostUso),
  };
}

/** Turns a frame with a header into what a receiver takes: `begin`, then `next` until none is left. Reused; allocates for none. */
export class FrameTranslator {
  /** Length of the longest frame to come, its header included: what a target of `next` must have room for. */
  maxFrameBytes = 0;

  private readonly header = emptyHeader();
  private readonly segmenter = new FrameSegmenter();
  private bytes: Uint8Array = new Uint8Array();
  private offset = 0;
  private length = 0;
  private remaining = 0;
  private isCutting = false;

  /**
   * @param offloads what the receiver takes
   * @param headerLength of the receiver; with 0 it takes plain frames only
   */
  constructor(
    private readonly offloads: Offloads,
    private readonly headerLength: HeaderLength,
  ) {}

  /**
   * Begins with a frame that has a header of `headerLength` bytes. Its bytes are only read, and must stay as they are until the last
   * `next`. Answers how many frames it becomes; 0 where its header cannot be true, and it is to be dropped.
   */
  begin(bytes: Uint8Array, offset: number, length: number, headerLength: HeaderLength): number {
    const { header } = this;
    this.remaining = 0;
    this.bytes = bytes;
    this.offset = offset + headerLength;
    this.length = length - headerLength;
    this.isCutting = false;
    if (this.length < ETHERNET_HEADER_LENGTH || offset + length > bytes.length) return 0;
    if (!readHeader(bytes, offset, headerLength, header)) return 0;
    if (header.gsoType !== GsoType.none && !this.takesGso()) {
      this.remaining = this.segmenter.begin(bytes, this.offset, this.length, header);
      this.isCutting = true;
      this.maxFrameBytes = this.headerLength + this.segmenter.maxPartBytes;
    } else {
      this.remaining = Number(this.isPlausible());
      this.maxFrameBytes = this.headerLength + this.length;
    }
    return this.remaining;
  }

  /** Writes the next frame with the receiver's header at `target[at]` and answers its length; 0 where none is left. */
  next(target: Uint8Array, at: number): number {
    if (this.remaining === 0) return 0;
    this.remaining--;
    const frameAt = at + this.headerLength;
    if (this.isCutting) {
      clearHeader(this.header);
      writeHeader(target, at, this.headerLength, this.header);
      return this.headerLength + this.segmenter.next(target, frameAt);
    }
    const { header, length } = this;
    target.set(this.bytes.subarray(this.offset, this.offset + length), frameAt);
    if (!this.takesChecksum()) finishChecksum(target, frameAt, length, header);
    writeHeader(target, at, this.headerLength, header);
    return this.headerLength + length;
  }

  private takesChecksum(): boolean {
    return this.headerLength !== 0 && this.offloads.checksum;
  }

  private takesGso(): boolean {
    const { offloads, header } = this;
    const needsEcn = (header.gsoType & GSO_ECN) !== 0;
    if (this.headerLength === 0 || (needsEcn && !offloads.ecn)) return false;
    switch (header.gsoType & ~GSO_ECN) {
      case GsoType.tcp4:
        return offloads.tcp4;
      case GsoType.tcp6:
        return offloads.tcp6;
      case GsoType.udpFragments:
        return offloads.udpFragments;
      case GsoType.udpDatagrams:
        return offloads.udpDatagrams;
      default:
        return false;
    }
  }

  /** Whether an unfinished checksum lies in the frame. */
  private isPlausible(): boolean {
    const { flags, checksumStart, checksumOffset } = this.header;
    if ((flags & HeaderFlag.needsChecksum) === 0) return true;
    return (
      checksumStart >= ETHERNET_HEADER_LENGTH && checksumStart + checksumOffset + 2 <= this.length
    );
  }
}
