/**
 * CONTRACT NetBackend: what a NIC plugs into. bhyve's backend interface (usr.sbin/bhyve/net_backends.h) in TypeScript.
 *
 * Written for who implements a backend; `test/net-backend-contract` checks it.
 *
 * - Frames are Ethernet without FCS. When a header length other than 0 was agreed on by `setCapabilities`, every frame, both
 *   ways, has a virtio-net header of that length before it.
 * - Batches describe frames that lie in someone's memory. Whoever is handed a batch may use it only until the call
 *   returns, and must not write to it; what must last is copied.
 * - Order: a backend begins with receiving off and header length 0. `enableReceive` and `disableReceive` alternate; extra
 *   calls do nothing. Once `disableReceive` has returned, no callback comes until `enableReceive`; frames that arrive in
 *   between are kept as far as the backend has room (the oldest are kept, later ones dropped and counted) and can be pulled.
 * - A callback may call `send`, `disableReceive` and `close`; their effect on the stack comes after the callback.
 * - After `close()` no callback comes and every other call throws a SlirpError `closed`, except `close` itself.
 */

/** Frames side by side in one memory: frame i is `bytes[offsets[i], offsets[i] + lengths[i])`. */
export interface FrameBatch {
  /** The memory that the frames lie in. May be a view on WebAssembly memory: it goes stale when the call returns. */
  readonly bytes: Uint8Array;
  /** How many frames: entries of `offsets` and `lengths` beyond it mean nothing. */
  readonly count: number;
  /** Where each frame, header included, begins in `bytes`. */
  readonly offsets: Uint32Array;
  /** Bytes of each frame, header included. */
  readonly lengths: Uint32Array;
}

/** What became of frames given to `send`. Nothing else than `taken` means that the frame is on its way. */
export const SendStatus = {
  /** All were taken. */
  taken: "taken",
  /** Some were dropped for good: malformed (shorter than a header and an Ethernet header, too long), or the link is down. */
  dropped: "dropped",
  /** There is no room for the frames from `taken` on: come back with them when `onWritable` is called. */
  mustWait: "mustWait",
} as const;

/** One of the values of {@link SendStatus}. */
export type SendStatus = (typeof SendStatus)[keyof typeof SendStatus];

/** Answer of `sendBatch`. The object is the backend's own and reused: read it before the next call. */
export interface SendResult {
  /** `mustWait` where the batch was not consumed to its end; else `dropped` where a frame of it was. */
  readonly status: SendStatus;
  /** Frames consumed from the front of the batch, the dropped ones among them. With `mustWait` the rest is to be sent again. */
  readonly consumed: number;
  /** How many of the consumed ones were dropped. */
  readonly dropped: number;
}

/** What a NIC gives to a backend to be told things. Called with frames in batches; see the rules above. */
export interface BackendCallbacks {
  /** Frames towards the guest. */
  onFrames(batch: FrameBatch): void;
  /** After `mustWait`: there is room again. Once for each `mustWait`. */
  onWritable?(): void;
  /** The backend ended by itself (device gone, stack failed). Nothing comes after it; `close` is still due. */
  onError?(error: Error): void;
}

/** Header lengths that virtio-net knows: none, legacy, with num_buffers (virtio 1.2, 5.1.6). */
export type HeaderLength = 0 | 10 | 12;

/** Counters since the backend was opened. */
export interface BackendStatistics {
  /** Frames from the guest that were taken. */
  readonly framesFromGuest: number;
  /** Frames that the NIC was given. */
  readonly framesToGuest: number;
  /** Bytes of those from the guest, virtio-net headers not counted. */
  readonly bytesFromGuest: number;
  /** Bytes of those that the NIC was given, headers not counted either. */
  readonly bytesToGuest: number;
  /** Frames from the guest that were dropped, for whatever reason. */
  readonly droppedFromGuest: number;
  /** Frames towards the guest that found no room. With a TAP in the kernel, too, where the process may look there. */
  readonly droppedToGuest: number;
}

/** What a NIC plugs into; the order of calls, and who owns a buffer, stand at the top of `backend.ts`. */
export interface NetBackend {
  /** What it was opened as: prefix and the rest, `slirp`, `tap:tap0`. */
  readonly name: string;

  /** Who is told. May be replaced at any time; undefined for a NIC that only pulls. */
  callbacks: BackendCallbacks | undefined;

  /** Sends one frame. Same answer as {@link sendBatch} for a batch of one. */
  send(frame: Uint8Array): SendStatus;
  /** Sends one frame that lies in pieces, in order (a virtqueue's descriptors). */
  sendGathered(pieces: readonly Uint8Array[]): SendStatus;
  /** Sends frames in order. */
  sendBatch(batch: FrameBatch): SendResult;

  /** From now on frames are pushed through `callbacks.onFrames`. */
  enableReceive(): void;
  /** From now on they are not. */
  disableReceive(): void;

  /** Length of the next frame that waits (header included), or 0 for none. Only while receiving is disabled. */
  peek(): number;
  /**
   * Takes the next waiting frame: its length, or 0 for none. A target that is too short throws a RangeError that names both
   * lengths and leaves the frame waiting. Only while receiving is disabled.
   */
  receive(target: Uint8Array): number;

  /** virtio-net feature bits that the backend can do with this header length. 0 where it cannot do the length at all. */
  capabilities(headerLength: HeaderLength): bigint;
  /**
   * Sets features and header length. Frames that wait get the new header, or are dropped and counted, as all are that say more than is agreed
   * on now.
   * Throws a SlirpError `unsupportedCapability` and changes nothing where it cannot.
   */
  setCapabilities(features: bigint, headerLength: HeaderLength): void;

  /** Counters, as of now. */
  statistics(): BackendStatistics;

  /** Gives everything back. Safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
