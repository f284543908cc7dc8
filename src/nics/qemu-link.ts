/**
 * One connection to a QEMU: frames between its socket and a backend, both ways with backpressure.
 *
 * From the guest: frames are parsed in place and sent in batches; when the backend says mustWait, the socket is paused and
 * the rest of the chunk stays where it is until onWritable. Towards the guest: each batch is one write; when more than
 * `maxUnsentBytes` lie in the socket, receiving is turned off until they are out, and the backend keeps or drops what
 * comes (its rules). So a QEMU that stops reading costs bounded memory.
 */
import type { Socket } from "node:net";
import { SendStatus, type FrameBatch, type NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { formatMac, MAC_OFFSET, readMac } from "../frames/mac-address.js";
import { encodeStreamFrames, StreamFrameParser } from "./qemu-framing.js";

/** Bounds of a link. */
export interface QemuLinkLimits {
  /** Longest frame on the stream, bytes; a longer one ends the connection. Default 69632, QEMU's own bound. */
  readonly maxFrameBytes?: number | undefined;
  /** What may lie unsent in the socket before receiving is turned off, bytes. Default 1 MiB: some batches. */
  readonly maxUnsentBytes?: number | undefined;
}

/** Answers the backend that the guest with this address is to go on with, given the one it has. */
export type Identify = (backend: NetBackend, mac: string) => Promise<NetBackend>;

/** How a link is made. */
export interface QemuLinkOptions extends QemuLinkLimits {
  readonly socket: Socket;
  readonly backend: NetBackend;
  /**
   * Asked once, with the MAC address of the guest's first frame, before that goes anywhere: which backend to go on with.
   * The link has let go of its backend then. A rejection ends the connection.
   */
  readonly identify?: Identify | undefined;
}

/** Why a link ended. */
export interface QemuLinkEnd {
  /** Undefined: the other side, or `close`, ended it in good order. */
  readonly error: Error | undefined;
  /** The backend has ended by itself or is closed. */
  readonly backendFailed: boolean;
}

/** See the top of the file. */
export class QemuLink {
  /** Fulfilled when the socket is closed and the backend let go of; never rejected. */
  readonly ended: Promise<QemuLinkEnd>;
  readonly #socket: Socket;
  readonly #maxUnsentBytes: number;
  readonly #parser: StreamFrameParser;
  /** Undefined while it is being asked for, and when it is not to be had. */
  #backend: NetBackend | undefined;
  #identify: Identify | undefined;
  #identified: Promise<void> | undefined;
  /** Frames that the backend has no room for yet; the socket is paused meanwhile. */
  #rest: FrameBatch | undefined;
  #error: Error | undefined;
  #backendFailed = false;
  #isOver = false;

  constructor(options: QemuLinkOptions) {
    this.#socket = options.socket;
    this.#identify = options.identify;
    this.#maxUnsentBytes = options.maxUnsentBytes ?? 1024 * 1024;
    this.#parser = new StreamFrameParser(options.maxFrameBytes);
    this.ended = this.#watchEnd();
    this.#guard(() => {
      this.#attach(options.backend);
    });
    this.#socket.on("data", (chunk: Buffer) => {
      this.#parser.push(chunk);
      this.#guard(() => {
        this.#sendParsed();
      });
    });
    this.#socket.on("drain", () => {
      if (!this.#isOver) this.#guardBackend(() => this.#backend?.enableReceive());
    });
  }

  /** The backend that the guest is, or was last, on; undefined where it has none to give back. */
  get backend(): NetBackend | undefined {
    return this.#backend;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#letGo();
    this.#socket.destroy();
  }

  #watchEnd(): Promise<QemuLinkEnd> {
    return new Promise((resolve) => {
      this.#socket.on("error", (error) => {
        this.#error ??= error;
      });
      this.#socket.once("close", () => {
        if (this.#parser.isWithinFrame && !this.#isOver) {
          this.#error ??= new SlirpError(
            ErrorCode.protocolViolation,
            "QEMU's stream ended within a frame",
          );
        }
        this.#letGo();
        // Who gives the backend back must know which one it is in the end.
        void Promise.resolve(this.#identified).then(() => {
          resolve({ error: this.#error, backendFailed: this.#backendFailed });
        });
      });
    });
  }

  #attach(backend: NetBackend): void {
    this.#backend = backend;
    backend.setCapabilities(0n, 0);
    backend.callbacks = {
      onFrames: (batch) => {
        this.#writeToGuest(batch);
      },
      onWritable: () => {
        this.#guard(() => {
          this.#sendParsed();
        });
      },
      onError: (error) => {
        this.#backendFailed = true;
        this.#fail(error);
      },
    };
    backend.enableReceive();
  }

  /** Takes the callbacks off. Safe to call again, and when the backend is closed. */
  #letGo(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#rest = undefined;
    this.#detach();
  }

  #detach(): void {
    const backend = this.#backend;
    if (!backend) return;
    backend.callbacks = undefined;
    if (this.#backendFailed) return;
    this.#guardBackend(() => {
      backend.disableReceive();
    });
  }

  /** Ends the connection at once, for a reason. */
  #fail(error: Error): void {
    this.#error ??= error;
    this.#letGo();
    this.#socket.destroy();
  }

  /** Nothing that a peer sends may throw into the event loop. */
  #guard(act: () => void): void {
    if (this.#isOver) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof SlirpError)) throw error;
      if (error.code !== ErrorCode.protocolViolation) this.#backendFailed = true;
      this.#fail(error);
    }
  }

  #guardBackend(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof SlirpError)) throw error;
      this.#backendFailed = true;
      this.#fail(error);
    }
  }

  #writeToGuest(batch: FrameBatch): void {
    this.#socket.write(encodeStreamFrames(batch));
    if (this.#socket.writableLength > this.#maxUnsentBytes) this.#backend?.disableReceive();
  }

  /** Sends what waits, then what else the chunk has. Ends paused where the backend has no room, else flowing. */
  #sendParsed(): void {
    while (this.#backend) {
      const batch = this.#rest ?? this.#parser.next();
      this.#rest = undefined;
      if (!batch) break;
      if (this.#identify) {
        this.#rest = batch;
        this.#identified = this.#goOnAs(this.#identify, this.#backend, sourceMac(batch));
        return;
      }
      const { status, consumed } = this.#backend.sendBatch(batch);
      if (status !== SendStatus.mustWait) continue;
      this.#rest = restOf(batch, consumed);
      this.#socket.pause();
      return;
    }
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** Stands still until it is known which backend the guest is to go on with. */
  async #goOnAs(identify: Identify, from: NetBackend, mac: string): Promise<void> {
    this.#identify = undefined;
    this.#socket.pause();
    this.#detach();
    this.#backend = undefined;
    try {
      const backend = await identify(from, mac);
      this.#backend = backend;
      this.#guard(() => {
        this.#attach(backend);
        this.#sendParsed();
      });
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function sourceMac(batch: FrameBatch): string {
  return formatMac(readMac(batch.bytes, (batch.offsets[0] ?? 0) + MAC_OFFSET.source));
}

function restOf(batch: FrameBatch, consumed: number): FrameBatch {
  return {
    bytes: batch.bytes,
    count: batch.count - consumed,
    offsets: batch.offsets.subarray(consumed),
    lengths: batch.lengths.subarray(consumed),
  };
}
