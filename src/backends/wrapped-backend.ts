/**
 * A backend around another one, which it is to be used in place of: every call goes on as it came. Who derives from it changes what it is
 * there for, on the way of the frames and nowhere else.
 */
import type {
  BackendCallbacks,
  BackendStatistics,
  FrameBatch,
  HeaderLength,
  NetBackend,
  SendResult,
  SendStatus,
} from "../backend.js";

/** See the top of the file. */
export abstract class WrappedBackend<Inner extends NetBackend> implements NetBackend {
  /** The backend inside, for what it has beyond the contract. Closing either closes both. */
  readonly inner: Inner;
  #callbacks: BackendCallbacks | undefined;

  constructor(backend: Inner) {
    this.inner = backend;
    this.callbacks = backend.callbacks;
  }

  abstract send(frame: Uint8Array): SendStatus;
  abstract sendGathered(pieces: readonly Uint8Array[]): SendStatus;
  abstract sendBatch(batch: FrameBatch): SendResult;
  abstract receive(target: Uint8Array): number;

  /** What the NIC gets of a batch that the backend pushes; valid as long as the batch. */
  protected abstract onBatch(batch: FrameBatch): FrameBatch;

  /** Whether the NIC is told that the backend is writable again. */
  protected isWritable(): boolean {
    return true;
  }

  get name(): string {
    return this.inner.name;
  }

  get callbacks(): BackendCallbacks | undefined {
    return this.#callbacks;
  }

  set callbacks(callbacks: BackendCallbacks | undefined) {
    this.#callbacks = callbacks;
    this.inner.callbacks = callbacks && {
      onFrames: (batch) => callbacks.onFrames(this.onBatch(batch)),
      onWritable: () => {
        if (this.isWritable()) callbacks.onWritable?.();
      },
      onError: (error) => callbacks.onError?.(error),
    };
  }

  enableReceive(): void {
    this.inner.enableReceive();
  }

  disableReceive(): void {
    this.inner.disableReceive();
  }

  peek(): number {
    return this.inner.peek();
  }

  capabilities(headerLength: HeaderLength): bigint {
    return this.inner.capabilities(headerLength);
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.inner.setCapabilities(features, headerLength);
  }

  statistics(): BackendStatistics {
    return this.inner.statistics();
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
