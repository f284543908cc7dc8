/**
 * Frames of a guest on their way to a backend that takes less than their headers say: one becomes a batch of several, with the backend's
 * header. What the backend has no room for of it stays here until there is room, and with it the memory that it lies in.
 */
import { SendStatus, type FrameBatch, type HeaderLength, type NetBackend } from "../backend.js";
import { FrameTranslator, type Offloads } from "../frames/frame-translator.js";
import { ETHERNET_HEADER_LENGTH } from "../virtio-net.js";

/** The longest IP packet with header, Ethernet header and VLAN tags. */
const MAX_FRAMED_BYTES = 12 + ETHERNET_HEADER_LENGTH + 8 + 65_535;

/**
 * What one frame may become. The longest there are have parts of some bytes each at worst; beyond that it is headers that were made long
 * for it, a copy of which before each byte would be a gigabyte.
 */
const MAX_PARTS_BYTES = 8 * 1024 * 1024;

/** See the top of the file. */
export class CutFrames {
  /** No frame is longer, header included. */
  static readonly maxFramedBytes = MAX_FRAMED_BYTES;

  readonly #backend: NetBackend;
  readonly #translator: FrameTranslator;
  readonly #headerLength: HeaderLength;
  /** The parts. */
  readonly #batch = {
    bytes: new Uint8Array(MAX_FRAMED_BYTES),
    offsets: new Uint32Array(64),
    lengths: new Uint32Array(64),
    count: 0,
  };
  /** How many of them the backend has. */
  #sent = 0;

  /** @param offloads what the backend takes, with a header of `backendLength` */
  constructor(
    backend: NetBackend,
    offloads: Offloads,
    headerLength: HeaderLength,
    backendLength: HeaderLength,
  ) {
    this.#backend = backend;
    this.#translator = new FrameTranslator(offloads, backendLength);
    this.#headerLength = headerLength;
  }

  /** Whether parts of a frame that was taken wait for room. */
  get isWaiting(): boolean {
    return this.#sent < this.#batch.count;
  }

  /** Sends a frame with its header. Undefined, and nothing sent, where it is not what its header says, or would become too much. */
  send(bytes: Uint8Array, offset: number, length: number): SendStatus | undefined {
    if (this.isWaiting) return SendStatus.mustWait;
    if (length > MAX_FRAMED_BYTES) return undefined;
    const count = this.#translator.begin(bytes, offset, length, this.#headerLength);
    if (count === 0 || count * this.#translator.maxFrameBytes > MAX_PARTS_BYTES) return undefined;
    this.#write(count);
    const status = this.#sendRest();
    if (status !== SendStatus.mustWait) return status;
    if (this.#sent > 0) return SendStatus.taken;
    // Nothing of it has gone: the NIC keeps it.
    this.#batch.count = 0;
    return status;
  }

  /** There is room again. False where not enough for what waits. */
  resume(): boolean {
    if (this.isWaiting) this.#sendRest();
    return !this.isWaiting;
  }

  #write(count: number): void {
    const translator = this.#translator;
    const batch = this.#batch;
    const most = count * translator.maxFrameBytes;
    if (most > batch.bytes.length) batch.bytes = new Uint8Array(most);
    if (count > batch.offsets.length) {
      batch.offsets = new Uint32Array(count * 2);
      batch.lengths = new Uint32Array(count * 2);
    }
    let end = 0;
    for (let i = 0; i < count; i++) {
      batch.offsets[i] = end;
      end += batch.lengths[i] = translator.next(batch.bytes, end);
    }
    batch.count = count;
    this.#sent = 0;
  }

  #sendRest(): SendStatus {
    const { status, consumed } = this.#backend.sendBatch(this.#rest());
    this.#sent = status === SendStatus.mustWait ? this.#sent + consumed : this.#batch.count;
    return status;
  }

  #rest(): FrameBatch {
    if (this.#sent === 0) return this.#batch;
    const { bytes, offsets, lengths, count } = this.#batch;
    return {
      bytes,
      offsets: offsets.subarray(this.#sent, count),
      lengths: lengths.subarray(this.#sent, count),
      count: count - this.#sent,
    };
  }
}
