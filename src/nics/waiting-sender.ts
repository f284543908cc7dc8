/**
 * Sends the frames of a guest that cannot be told to wait, on its card or behind a channel: what the backend has no room for is kept in
 * order until it has some, and dropped where that takes longer than the room here lasts.
 */
import { SendStatus, type NetBackend } from "../backend.js";
import { FrameQueue } from "../frames/frame-queue.js";

/** Room for each frame that waits, bytes: a full Ethernet frame and what it costs. */
const WAITING_FRAME_BYTES = 1536;

/** See the top of the file. */
export class WaitingSender {
  readonly #backend: NetBackend;
  readonly #maxFrames: number;
  /** Made when it is needed: most guests never have to wait. */
  #waiting: FrameQueue | undefined;
  #dropped = 0;

  /** `maxFrames`: how many are kept. */
  constructor(backend: NetBackend, maxFrames: number) {
    this.#backend = backend;
    this.#maxFrames = maxFrames;
  }

  /** Frames that found no room here either. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sends a frame, behind those that wait. */
  send(frame: Uint8Array): void {
    const waits = this.#waiting !== undefined && this.#waiting.count > 0;
    if (!waits && this.#backend.send(frame) !== SendStatus.mustWait) return;
    this.#waiting ??= new FrameQueue({
      maxFrames: this.#maxFrames,
      maxBytes: this.#maxFrames * WAITING_FRAME_BYTES,
    });
    if (!this.#waiting.push(frame, 0, frame.length)) this.#dropped++;
  }

  /** The backend has room again. */
  resume(): void {
    const batch = this.#waiting?.take(0);
    if (!batch) return;
    const { status, consumed } = this.#backend.sendBatch(batch);
    if (status !== SendStatus.mustWait) return;
    for (let i = consumed; i < batch.count; i++) {
      this.#waiting?.push(batch.bytes, batch.offsets[i] ?? 0, batch.lengths[i] ?? 0);
    }
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting?.clear();
  }
}
