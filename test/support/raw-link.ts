/**
 * The raw guest's card: frames in and out of a NetBackend, in batches, and waiting for them.
 */
import {
  SendStatus,
  type FrameBatch,
  type HeaderLength,
  type NetBackend,
} from "../../src/backend.js";
import { prependZeroedHeader } from "../../src/virtio-net.js";
import { batchOf, GUEST_MAC } from "./frames.js";
import type { Packet } from "./packet.js";
import { FrameFault, parseFrame } from "./parse-frame.js";

export interface RawLinkOptions {
  readonly mac?: Uint8Array;
  /** What was agreed on with the backend. Default 0. */
  readonly headerLength?: HeaderLength;
  /** Largest IP packet that may come. Default 1500. */
  readonly mtuBytes?: number;
}

/** Generous, because machines are slow at times. */
const DEFAULT_TIMEOUT_MS = 20_000;

const MAX_FAULTS = 20;

/** See the top of the file. */
export abstract class RawLink {
  backend: NetBackend;
  readonly mac: Uint8Array;
  readonly mtuBytes: number;
  /** What the stack did wrong. */
  readonly faults: string[] = [];
  framesReceived = 0;
  batchesReceived = 0;
  /** The stack's last word, where it has failed. */
  failure: Error | undefined;

  /** Says which packets are lost on the way to the guest. */
  lose: ((packet: Packet) => boolean) | undefined;
  /** Told of every packet before anything is done about it. */
  onPacket: ((packet: Packet) => void) | undefined;

  private readonly headerLength: HeaderLength;
  private outgoing: Uint8Array[] = [];
  private corked = 0;
  private mustWait = false;
  private waiters: (() => void)[] = [];

  /** Takes the backend's callbacks and begins to receive. */
  constructor(backend: NetBackend, options: RawLinkOptions) {
    this.backend = backend;
    this.mac = options.mac ?? GUEST_MAC;
    this.headerLength = options.headerLength ?? 0;
    this.mtuBytes = options.mtuBytes ?? 1500;
    this.moveTo(backend);
  }

  /** Loses every so many-th TCP segment with data from now on. */
  loseEvery(nth: number): void {
    let count = 0;
    this.lose = (packet) =>
      packet.kind === "tcp" && packet.payload.length > 0 && ++count % nth === 0;
  }

  /** Goes on at another backend, which must not have a header length of its own: the guest's card is unplugged and put in. */
  moveTo(backend: NetBackend): void {
    this.backend = backend;
    this.mustWait = false;
    backend.callbacks = {
      onFrames: (batch) => {
        this.receiveBatch(batch);
      },
      onWritable: () => {
        this.mustWait = false;
        this.flush();
      },
      onError: (error) => {
        this.failure = error;
      },
    };
    backend.enableReceive();
  }

  /**
   * Waits until `check` answers something, which is looked at after each batch of frames and every few milliseconds.
   * @throws Error that says what was waited for, and every fault so far.
   */
  async until<T>(
    check: () => T | undefined | false,
    what: string | (() => string),
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const answer = check();
      if (answer !== undefined && answer !== false) return answer;
      if (performance.now() > deadline) {
        const faults = this.faults.length > 0 ? `; faults: ${this.faults.join("; ")}` : "";
        const wanted = typeof what === "string" ? what : what();
        throw new Error(`waited ${timeoutMs} ms for ${wanted}${faults}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 5);
        this.waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** What is sent within goes out as one batch. */
  together(send: () => void): void {
    this.corked++;
    try {
      send();
    } finally {
      this.corked--;
      this.flush();
    }
  }

  /** Sends a frame as it is; the header that was agreed on is put in front. */
  sendFrame(frame: Uint8Array): void {
    this.outgoing.push(
      this.headerLength === 0 ? frame : prependZeroedHeader(frame, this.headerLength),
    );
    this.flush();
  }

  fault(text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(text);
  }

  protected abstract receivePacket(packet: Packet): void;

  /** Everything of a batch has been received; what is sent goes out together. */
  protected abstract endBatch(): void;

  private flush(): void {
    if (this.corked > 0 || this.mustWait || this.outgoing.length === 0) return;
    const frames = this.outgoing;
    this.outgoing = [];
    const { status, consumed } = this.backend.sendBatch(batchOf(frames));
    if (status !== SendStatus.mustWait) return;
    this.mustWait = true;
    this.outgoing = [...frames.slice(consumed), ...this.outgoing];
  }

  private receiveBatch({ bytes, count, offsets, lengths }: FrameBatch): void {
    this.batchesReceived++;
    this.together(() => {
      for (let i = 0; i < count; i++) {
        const start = offsets[i] ?? NaN;
        this.receiveFrame(bytes.subarray(start, start + (lengths[i] ?? NaN)));
      }
      this.endBatch();
    });
    const { waiters } = this;
    this.waiters = [];
    for (const wake of waiters) wake();
  }

  private receiveFrame(framed: Uint8Array): void {
    this.framesReceived++;
    try {
      const frame = framed.subarray(this.headerLength);
      this.checkFrame(framed, frame);
      const packet = parseFrame(frame);
      if (this.lose?.(packet)) return;
      this.onPacket?.(packet);
      this.receivePacket(packet);
    } catch (error) {
      if (!(error instanceof FrameFault)) throw error;
      this.fault(error.message);
    }
  }

  private checkFrame(framed: Uint8Array, frame: Uint8Array): void {
    const header = prependZeroedHeader(new Uint8Array(), this.headerLength);
    if (header.some((byte, i) => framed[i] !== byte)) throw new FrameFault("header not zeroed");
    if (frame.length > this.mtuBytes + 14) {
      throw new FrameFault(`a frame of ${frame.length} bytes is over the MTU`);
    }
    const isGroup = ((frame[0] ?? 0) & 1) === 1;
    if (!isGroup && this.mac.some((byte, i) => frame[i] !== byte)) {
      throw new FrameFault(`for ${Buffer.from(frame.subarray(0, 6)).toString("hex")}, not for us`);
    }
    if (frame[6] !== 0x52) throw new FrameFault("from a MAC that is none of the stack's");
  }
}
