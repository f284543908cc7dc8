/**
 * A NIC that takes and sends long frames, between a plain guest and a backend: as an operating system's own stack does, it joins what
 * the guest sends in one go and cuts what comes. The guest behind it checks every segment, as ever.
 */
import { SendStatus, type HeaderLength, type NetBackend } from "../../src/backend.js";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import {
  FrameTranslator,
  guestOffloads,
  hostOffloads,
  type Offloads,
} from "../../src/frames/frame-translator.js";
import { FramePort } from "../../src/frames/frame-port.js";
import {
  clearHeader,
  emptyHeader,
  GsoType,
  HeaderFlag,
  readHeader,
  writeHeader,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";

const MAX_FRAME_BYTES = 70_000;

/** See the top of the file. */
export class OffloadingNic extends FramePort {
  /** Headers of long frames, both ways, as they were said. */
  readonly longFromGuest: VirtioNetHeader[] = [];
  readonly longToGuest: VirtioNetHeader[] = [];
  /** Frames with unfinished checksums. */
  unfinishedFromGuest = 0;
  unfinishedToGuest = 0;
  /** Frames to the guest that could not be what their header says. */
  refused = 0;

  private readonly joiner = new FrameJoiner();
  private readonly joined = new Uint8Array(MAX_FRAME_BYTES);
  private readonly header = emptyHeader();
  private readonly fromGuest: Offloads;
  private readonly cutter = new FrameTranslator(guestOffloads(0n), 0);
  private waiting: Uint8Array[] = [];
  private flushDue = false;

  constructor(
    private readonly backend: NetBackend,
    features: bigint,
    private readonly length: HeaderLength = 12,
  ) {
    super("offloading", { maxBytes: 4 * 1024 * 1024, maxFrames: 8192 });
    this.fromGuest = hostOffloads(features);
    backend.setCapabilities(features, length);
    backend.callbacks = {
      onFrames: ({ bytes, count, offsets, lengths }) => {
        for (let i = 0; i < count; i++) this.cut(bytes, offsets[i]!, lengths[i]!);
      },
      onWritable: () => {
        this.sendWaiting();
      },
    };
    backend.enableReceive();
  }

  protected override forward(bytes: Uint8Array, offset: number, length: number): SendStatus {
    if (!this.joiner.append(bytes, offset, length)) {
      this.finish();
      if (!this.joiner.start(this.joined, this.length, bytes, offset, length)) {
        this.joined.set(bytes.subarray(offset, offset + length), this.length);
        clearHeader(this.header);
        this.sendJoined(length);
      }
    }
    if (!this.flushDue) {
      this.flushDue = true;
      queueMicrotask(() => {
        this.flushDue = false;
        this.finish();
      });
    }
    return SendStatus.taken;
  }

  private finish(): void {
    if (this.joiner.count > 0) this.sendJoined(this.joiner.finish(this.header));
  }

  /** A long frame goes as the backend takes it. */
  private sendJoined(length: number): void {
    writeHeader(this.joined, 0, this.length, this.header);
    const translator = new FrameTranslator(this.fromGuest, this.length);
    const count = translator.begin(this.joined, 0, this.length + length, this.length);
    for (let i = 0; i < count; i++) {
      const frame = new Uint8Array(translator.maxFrameBytes);
      const framed = frame.subarray(0, translator.next(frame, 0));
      const header = emptyHeader();
      readHeader(framed, 0, this.length, header);
      if (header.gsoType !== GsoType.none) this.longFromGuest.push(header);
      if ((header.flags & HeaderFlag.needsChecksum) !== 0) this.unfinishedFromGuest++;
      this.waiting.push(framed);
    }
    this.sendWaiting();
  }

  private sendWaiting(): void {
    for (let frame = this.waiting[0]; frame; frame = this.waiting[0]) {
      if (this.backend.send(frame) === SendStatus.mustWait) return;
      this.waiting.shift();
    }
  }

  private cut(bytes: Uint8Array, offset: number, length: number): void {
    const header = emptyHeader();
    readHeader(bytes, offset, this.length, header);
    if (header.gsoType !== GsoType.none) this.longToGuest.push(header);
    if ((header.flags & HeaderFlag.needsChecksum) !== 0) this.unfinishedToGuest++;
    const count = this.cutter.begin(bytes, offset, length, this.length);
    if (count === 0) this.refused++;
    const frame = new Uint8Array(this.cutter.maxFrameBytes);
    for (let i = 0; i < count; i++) this.deliver(frame, 0, this.cutter.next(frame, 0));
  }
}
