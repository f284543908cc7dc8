/**
 * A connection to a port of the guest as a page sees it: Web Streams, in the form that WinterTC's Sockets API gives a socket
 * (https://sockets-api.proposal.wintertc.org/).
 *
 * Reading and writing go on alone, as TCP has it: `writable.close()` sends FIN and the guest's answer still comes; the guest's FIN ends
 * `readable` and the guest can still be written to. Nothing is read ahead of who reads beyond guest-stream.ts's bound.
 */
import { formatEndpoint, type IpEndpoint } from "../address.js";
import type { ChunkPool } from "../byte-queue.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { GuestSocket, GuestSocketInfo, SocketBytes } from "../slirp-backend.js";
import { GuestStream } from "./guest-stream.js";

/** What the writable side keeps before `ready` tells the writer to wait, beside the bounded queue behind it. */
const WRITER_QUEUE_BYTES = 16 * 1024;

interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

function makeGate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

/** See the top of the file. */
export class StreamSocket implements GuestSocket {
  readonly stream: GuestStream;
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<SocketBytes>;
  readonly opened: Promise<GuestSocketInfo>;
  readonly closed: Promise<undefined>;

  #progress = makeGate();
  #failure: { readonly reason: unknown } | undefined;
  #closing = false;
  #settled = false;
  #readerEnded = false;
  #writer!: WritableStreamDefaultController;
  #reader!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #resolveOpened!: (info: GuestSocketInfo) => void;
  #rejectOpened!: (reason: unknown) => void;
  #resolveClosed!: (value: undefined) => void;
  #rejectClosed!: (reason: unknown) => void;

  /**
   * @param peer who connects, as the stack is told; `info` the same as the guest sees it.
   * @param explain what an end that nobody here asked for means.
   */
  constructor(
    peer: IpEndpoint,
    private readonly info: { readonly local: IpEndpoint; readonly remote: IpEndpoint },
    pool: ChunkPool,
    private readonly explain: (wasOpen: boolean, inOrder: boolean) => SlirpError,
  ) {
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve;
      this.#rejectOpened = reject;
    });
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve;
      this.#rejectClosed = reject;
    });
    // Who does not ask must not be told by an unhandled rejection.
    this.opened.catch(() => undefined);
    this.closed.catch(() => undefined);
    let isOpen = false;
    this.stream = new GuestStream(peer, pool, {
      onOpen: () => {
        isOpen = true;
        this.#resolveOpened(this.describe());
      },
      onProgress: () => {
        this.onProgress();
      },
      onGone: (inOrder) => {
        if (!this.isDone()) this.fail(this.explain(isOpen, inOrder));
      },
    });
    this.readable = this.makeReadable();
    this.writable = this.makeWritable();
  }

  close(): Promise<undefined> {
    if (!this.#closing && !this.#failure) {
      this.#closing = true;
      this.stopReading();
      void this.stopWriting();
      if (this.isDone()) this.settle();
    }
    return this.closed;
  }

  /** Ends everything with `reason`; the guest sees RST. */
  abort(reason: unknown): void {
    if (this.isDone()) return;
    this.stream.abort();
    this.fail(reason);
  }

  private makeReadable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream(
      {
        start: (controller) => {
          this.#reader = controller;
        },
        pull: (controller) => this.pull(controller),
        cancel: () => {
          this.#readerEnded = true;
          this.stream.discard();
          // Anew, or who waits for more of it would spin.
          this.#progress.open();
          this.#progress = makeGate();
        },
      },
      { highWaterMark: 0 },
    );
  }

  private makeWritable(): WritableStream<SocketBytes> {
    return new WritableStream(
      {
        start: (controller) => {
          this.#writer = controller;
        },
        write: (chunk) => this.writeAll(toBytes(chunk)),
        close: async () => {
          this.stream.end();
          while (!this.stream.isWrittenToEnd) await this.nextProgress();
        },
        abort: (reason) => {
          this.abort(reason ?? new SlirpError(ErrorCode.closed, "the connection was aborted"));
        },
      },
      { highWaterMark: WRITER_QUEUE_BYTES, size: (chunk) => chunk.byteLength },
    );
  }

  private async pull(
    controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    while (!this.#readerEnded) {
      const bytes = this.stream.read();
      if (bytes) {
        controller.enqueue(bytes);
        return;
      }
      if (this.stream.isReadToEnd) {
        this.#readerEnded = true;
        controller.close();
        return;
      }
      await this.nextProgress();
    }
  }

  private async writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; ;) {
      if (this.#failure) throw this.#failure.reason;
      at += this.stream.write(bytes, at);
      if (at >= bytes.length) return;
      await this.nextProgress();
    }
  }

  /** Waits until the stack has done something. @throws what the connection failed with. */
  private async nextProgress(): Promise<void> {
    if (this.#failure) throw this.#failure.reason;
    await this.#progress.passed;
  }

  private onProgress(): void {
    this.#progress.open();
    this.#progress = makeGate();
    if (this.isDone()) this.settle();
  }

  /** There is nothing that could still go wrong. */
  private isDone(): boolean {
    const { stream } = this;
    if (this.#settled) return true;
    return stream.isWrittenToEnd && (stream.guestHasEnded || this.#closing);
  }

  private settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#resolveClosed(undefined);
  }

  private fail(reason: unknown): void {
    if (this.#failure) return;
    this.#failure = { reason };
    this.#settled = true;
    this.#rejectOpened(reason);
    this.#rejectClosed(reason);
    this.#writer.error(reason);
    // A reader that waits fails here; one that has bytes left fails behind them.
    this.#progress.open();
    this.#progress = makeGate();
  }

  private stopReading(): void {
    this.stream.discard();
    if (!this.#readerEnded) {
      this.#readerEnded = true;
      this.#reader.close();
    }
    this.#progress.open();
    this.#progress = makeGate();
  }

  private async stopWriting(): Promise<void> {
    if (!this.writable.locked) {
      // Fails where it was closed or has failed before: then there is nothing to do.
      await this.writable.close().catch(() => undefined);
      return;
    }
    this.stream.end();
    this.#writer.error(new SlirpError(ErrorCode.closed, "the connection was closed by close()"));
  }

  private describe(): GuestSocketInfo {
    return {
      remoteAddress: formatEndpoint(this.info.remote),
      localAddress: formatEndpoint(this.info.local),
    };
  }
}

function toBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  throw new TypeError(
    `a socket takes ArrayBuffers and views on them, not ${typeof chunk}: encode text with TextEncoder`,
  );
}
