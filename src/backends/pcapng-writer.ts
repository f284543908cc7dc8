/**
 * Writes frames as pcapng, which Wireshark and its relatives open (draft-ietf-opsawg-pcapng): a section header, a description for each
 * interface, and an enhanced packet block for each frame, with its time and its direction.
 *
 * Blocks are made in one memory that is used again and handed to a sink, which copies or writes what it keeps. Everything is
 * little-endian, which readers take from the section header.
 */

/** Where blocks go. A block is the writer's memory: it is valid until the call returns. A sink must not throw. */
export interface CaptureSink {
  /** Section header and interface descriptions: without them nothing that follows can be read. */
  writeHeader(block: Uint8Array<ArrayBuffer>): void;
  /** A frame. One that is lost spoils no other. */
  writeFrame(block: Uint8Array<ArrayBuffer>): void;
}

/** Which way a frame went, as the guest sees it (`epb_flags`, bits 0 and 1). */
export const CaptureDirection = { toGuest: 1, fromGuest: 2 } as const;

/** One of the values of {@link CaptureDirection}. */
export type CaptureDirection = (typeof CaptureDirection)[keyof typeof CaptureDirection];

/** How it is written. */
export interface PcapngOptions {
  /** Bytes of a frame that are kept; its whole length is told all the same. Default 262,144, as tcpdump has it: all. */
  readonly snapLengthBytes?: number;
  /** Digits of a second in times: 6 for microseconds, 9 for nanoseconds. Default 6. */
  readonly timeDigits?: 6 | 9;
  /** The wall clock, milliseconds since 1970 with fractions. Default: the host's. */
  readonly nowMs?: () => number;
}

/** A frame in pieces, and how many bytes at its front are no frame (a virtio-net header). */
interface Pieces {
  readonly pieces: readonly Uint8Array[];
  readonly skipBytes: number;
}

const BlockType = { sectionHeader: 0x0a0d0d0a, interface: 1, enhancedPacket: 6 } as const;

/** Codes of options, and the ends of option lists. */
const Option = { end: 0, interfaceName: 2, packetFlags: 2, application: 4, timeDigits: 9 } as const;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** LINKTYPE_ETHERNET. */
const LINK_TYPE_ETHERNET = 1;
/** Of an enhanced packet block: what stands before the frame, and behind its padding. */
const PACKET_HEADER_BYTES = 28;
const PACKET_TRAILER_BYTES = 16;
const DEFAULT_SNAP_LENGTH_BYTES = 262_144;

const encoder = new TextEncoder();

/** Writes frames as pcapng (draft-ietf-opsawg-pcapng) to a sink; several backends may share one. */
export class PcapngWriter {
  readonly #sink: CaptureSink;
  readonly #snapLengthBytes: number;
  readonly #timeDigits: 6 | 9;
  readonly #nowMs: () => number;
  /** Grows to the longest frame. */
  #block = new Uint8Array(2048);
  #view = new DataView(this.#block.buffer);
  #interfaces = 0;
  #frames = 0;

  /** Writes the section header at once. */
  constructor(sink: CaptureSink, options: PcapngOptions = {}) {
    this.#sink = sink;
    this.#snapLengthBytes = options.snapLengthBytes ?? DEFAULT_SNAP_LENGTH_BYTES;
    this.#timeDigits = options.timeDigits ?? 6;
    this.#nowMs = options.nowMs ?? (() => performance.timeOrigin + performance.now());
    const body = new Uint8Array(16).fill(0xff);
    const view = new DataView(body.buffer);
    view.setUint32(0, BYTE_ORDER_MAGIC, true);
    view.setUint16(4, 1, true);
    view.setUint16(6, 0, true);
    const application = option(Option.application, encoder.encode("slirp-wasm"));
    sink.writeHeader(headerBlock(BlockType.sectionHeader, [body, application, END_OF_OPTIONS]));
  }

  /** Frames written. */
  get frames(): number {
    return this.#frames;
  }

  /** Describes one more interface: its number, for {@link writeFrame}. */
  addInterface(name: string): number {
    const body = new Uint8Array(8);
    const view = new DataView(body.buffer);
    view.setUint16(0, LINK_TYPE_ETHERNET, true);
    view.setUint32(4, this.#snapLengthBytes, true);
    const options = [
      option(Option.interfaceName, encoder.encode(name)),
      option(Option.timeDigits, Uint8Array.of(this.#timeDigits)),
      END_OF_OPTIONS,
    ];
    this.#sink.writeHeader(headerBlock(BlockType.interface, [body, ...options]));
    return this.#interfaces++;
  }

  /** Writes the frame `bytes[offset, offset + length)`, now. */
  writeFrame(
    interfaceId: number,
    direction: CaptureDirection,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const captured = this.#begin(length);
    this.#block.set(bytes.subarray(offset, offset + captured), PACKET_HEADER_BYTES);
    this.#finish(interfaceId, direction, captured, length);
  }

  /** Writes a frame that lies in pieces. */
  writeGathered(
    interfaceId: number,
    direction: CaptureDirection,
    { pieces, skipBytes }: Pieces,
  ): void {
    let length = -skipBytes;
    for (const piece of pieces) length += piece.length;
    if (length <= 0) return;
    const captured = this.#begin(length);
    let skip = skipBytes;
    let end = 0;
    for (const piece of pieces) {
      const from = Math.min(skip, piece.length);
      skip -= from;
      const part = piece.subarray(from, from + captured - end);
      this.#block.set(part, PACKET_HEADER_BYTES + end);
      end += part.length;
    }
    this.#finish(interfaceId, direction, captured, length);
  }

  /** Makes room for a frame; answers how many bytes of it are kept. */
  #begin(length: number): number {
    const captured = Math.min(length, this.#snapLengthBytes);
    const needed = PACKET_HEADER_BYTES + padded(captured) + PACKET_TRAILER_BYTES;
    if (this.#block.length < needed) {
      this.#block = new Uint8Array(needed * 2);
      this.#view = new DataView(this.#block.buffer);
    }
    return captured;
  }

  #finish(
    interfaceId: number,
    direction: CaptureDirection,
    captured: number,
    length: number,
  ): void {
    const view = this.#view;
    const behind = PACKET_HEADER_BYTES + padded(captured);
    const total = behind + PACKET_TRAILER_BYTES;
    view.setUint32(0, BlockType.enhancedPacket, true);
    view.setUint32(4, total, true);
    view.setUint32(8, interfaceId, true);
    this.#writeTime(view);
    view.setUint32(20, captured, true);
    view.setUint32(24, length, true);
    this.#block.fill(0, PACKET_HEADER_BYTES + captured, behind);
    view.setUint16(behind, Option.packetFlags, true);
    view.setUint16(behind + 2, 4, true);
    view.setUint32(behind + 4, direction, true);
    view.setUint32(behind + 8, Option.end, true);
    view.setUint32(behind + 12, total, true);
    this.#frames++;
    this.#sink.writeFrame(this.#block.subarray(0, total));
  }

  /** 64 bits as two halves, the high one first. Nanoseconds since 1970 are more than a double holds exactly, so they are put together. */
  #writeTime(view: DataView): void {
    const nowMs = this.#nowMs();
    const seconds = Math.floor(nowMs / 1000);
    const unitsPerSecond = this.#timeDigits === 9 ? 1e9 : 1e6;
    const fraction = Math.floor(((nowMs - seconds * 1000) / 1000) * unitsPerSecond);
    const upper = Math.floor(seconds / 0x10000) * unitsPerSecond;
    const lower = (upper % 0x10000) * 0x10000 + (seconds % 0x10000) * unitsPerSecond + fraction;
    view.setUint32(12, Math.floor(upper / 0x10000) + Math.floor(lower / 0x1_0000_0000), true);
    view.setUint32(16, lower % 0x1_0000_0000, true);
  }
}

/** Whether a capture begins with this block. */
export function isSectionHeader(block: Uint8Array): boolean {
  // The same in either byte order.
  return block[0] === 0x0a && block[1] === 0x0d && block[2] === 0x0d && block[3] === 0x0a;
}

/** The next multiple of 4. */
function padded(length: number): number {
  return (length + 3) & ~3;
}

const END_OF_OPTIONS = new Uint8Array(4);

function option(code: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + padded(value.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, value.length, true);
  bytes.set(value, 4);
  return bytes;
}

/** Type, length, parts, and the length again. */
function headerBlock(type: number, parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const total = parts.reduce((sum, part) => sum + part.length, 12);
  const block = new Uint8Array(total);
  const view = new DataView(block.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  let at = 8;
  for (const part of parts) {
    block.set(part, at);
    at += part.length;
  }
  view.setUint32(at, total, true);
  return block;
}
