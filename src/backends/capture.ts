/**
 * A capture of all that goes through a backend: a backend itself, around any other, as smoltcp's pcap writer is around any device.
 *
 *     const memory = new CaptureMemory();
 *     const backend = withCapture(await createSlirp({ relay }), memory);
 *     attachV86(emulator, backend);
 *     // later: memory.download()
 *
 * Frames that the backend took are captured, and those that it hands on, each without its virtio-net header. While nothing is captured
 * a frame costs one test.
 */
import {
  SendStatus,
  type FrameBatch,
  type HeaderLength,
  type NetBackend,
  type SendResult,
} from "../backend.js";
import { ETHERNET_HEADER_LENGTH } from "../virtio-net.js";
import {
  CaptureDirection,
  PcapngWriter,
  type CaptureSink,
  type PcapngOptions,
} from "./pcapng-writer.js";
import { WrappedBackend } from "./wrapped-backend.js";

/** How frames are captured. */
export interface CaptureOptions extends PcapngOptions {
  /** What the interface is called in the capture. Default: the backend's name. */
  readonly interfaceName?: string;
}

/** A backend with a capture around it: to be used, and closed, in its place. Made by {@link withCapture}. */
export class CapturingBackend<Inner extends NetBackend = NetBackend> extends WrappedBackend<Inner> {
  #headerLength: HeaderLength = 0;
  #writer: PcapngWriter | undefined;
  #interfaceId = 0;

  /** Whether frames are captured. */
  get isCapturing(): boolean {
    return this.#writer !== undefined;
  }

  /** Captures from now on. A writer may be shared: each backend is an interface of its own in the file. */
  startCapture(to: CaptureSink | PcapngWriter, options: CaptureOptions = {}): void {
    this.#writer = to instanceof PcapngWriter ? to : new PcapngWriter(to, options);
    this.#interfaceId = this.#writer.addInterface(options.interfaceName ?? this.name);
  }

  /** Captures no more. What was captured stays where it is. */
  stopCapture(): void {
    this.#writer = undefined;
  }

  protected override onBatch(batch: FrameBatch): FrameBatch {
    if (this.#writer) this.#captureBatch(CaptureDirection.toGuest, batch, batch.count);
    return batch;
  }

  send(frame: Uint8Array): SendStatus {
    const status = this.inner.send(frame);
    if (this.#writer && status === SendStatus.taken) {
      this.#capture(CaptureDirection.fromGuest, frame, 0, frame.length);
    }
    return status;
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    const status = this.inner.sendGathered(pieces);
    if (this.#writer && status === SendStatus.taken) {
      const frame = { pieces, skipBytes: this.#headerLength };
      this.#writer.writeGathered(this.#interfaceId, CaptureDirection.fromGuest, frame);
    }
    return status;
  }

  sendBatch(batch: FrameBatch): SendResult {
    const result = this.inner.sendBatch(batch);
    if (this.#writer) this.#captureBatch(CaptureDirection.fromGuest, batch, result.consumed);
    return result;
  }

  receive(target: Uint8Array): number {
    const length = this.inner.receive(target);
    if (this.#writer && length > 0) this.#capture(CaptureDirection.toGuest, target, 0, length);
    return length;
  }

  override setCapabilities(features: bigint, headerLength: HeaderLength): void {
    super.setCapabilities(features, headerLength);
    this.#headerLength = headerLength;
  }

  override close(): Promise<void> {
    this.#writer = undefined;
    return super.close();
  }

  #captureBatch(direction: CaptureDirection, batch: FrameBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      this.#capture(direction, batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0);
    }
  }

  /** What is no frame at all was dropped, and is not captured. */
  #capture(direction: CaptureDirection, bytes: Uint8Array, offset: number, framed: number): void {
    const length = framed - this.#headerLength;
    if (length < ETHERNET_HEADER_LENGTH) return;
    const start = offset + this.#headerLength;
    this.#writer?.writeFrame(this.#interfaceId, direction, bytes, start, length);
  }
}

/**
 * Puts a capture around a backend: use what it answers instead. With a sink, it captures from the beginning; without, from
 * `startCapture` on.
 */
export function withCapture<Inner extends NetBackend>(
  backend: Inner,
  to?: CaptureSink | PcapngWriter,
  options?: CaptureOptions,
): CapturingBackend<Inner> {
  const capturing = new CapturingBackend(backend);
  if (to) capturing.startCapture(to, options);
  return capturing;
}
