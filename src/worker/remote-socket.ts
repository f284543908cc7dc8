/**
 * A connection to the guest whose stack is in a worker: the streams there are transferred, and wrapped here, for an error loses its class
 * and code on its way through a transferred stream. What the connection ended with comes by a call of its own, and that is what
 * readers and writers here are told.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { GuestSocket, GuestSocketInfo, SocketBytes } from "../slirp-backend.js";
import type { OpenedSocket } from "./messages.js";

/** What the other end does for a socket. */
export interface SocketLink {
  /** Settled as the socket's `closed` is there. */
  readonly closed: Promise<undefined>;
  /** Closes the connection in good order: all has been written. */
  close(): void;
  /** Cuts the connection off. */
  abort(): void;
}

/** See the top of the file. */
export class RemoteSocket implements GuestSocket {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<SocketBytes>;
  readonly opened: Promise<GuestSocketInfo>;
  readonly closed: Promise<undefined>;

  readonly #link: SocketLink;
  readonly #source: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #sink: WritableStreamDefaultWriter<SocketBytes>;
  #reader!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #writer!: WritableStreamDefaultController;
  #readerEnded = false;
  #closing = false;
  #aborted: { readonly reason: unknown } | undefined;

  constructor({ readable, writable, info }: OpenedSocket, link: SocketLink) {
    this.#link = link;
    this.#source = readable.getReader();
    this.#sink = writable.getWriter();
    this.opened = Promise.resolve(info);
    this.closed = link.closed.catch((error: unknown) => {
      throw this.#aborted ? this.#aborted.reason : error;
    });
    for (const ended of [this.closed, this.#source.closed, this.#sink.closed]) {
      ended.catch(() => undefined);
    }
    this.readable = this.#makeReadable();
    this.writable = this.#makeWritable();
    this.closed.catch((error: unknown) => {
      // Who writes nothing must learn of it too; who reads gets what came before, unless nobody is there to send it.
      this.#writer.error(error);
      if (error instanceof SlirpError && error.code === ErrorCode.workerFailed)
        this.#failReader(error);
    });
  }

  close(): Promise<undefined> {
    if (this.#closing) return this.closed;
    this.#closing = true;
    void this.#source.cancel().catch(() => undefined);
    if (!this.#readerEnded) {
      this.#readerEnded = true;
      this.#reader.close();
    }
    const isLocked = this.writable.locked;
    // The worker closes once it has the end of what was written, so that is sent though a write has failed before.
    const written = isLocked
      ? this.#sink.close()
      : this.writable.close().catch(() => this.#sink.close());
    if (isLocked) {
      this.#writer.error(new SlirpError(ErrorCode.closed, "the connection was closed by close()"));
    }
    const close = (): void => {
      this.#link.close();
    };
    written.then(close, close);
    return this.closed;
  }

  /** Ends everything with `reason`; the guest sees RST. */
  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.#link.abort();
  }

  #makeReadable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream(
      {
        start: (controller) => {
          this.#reader = controller;
        },
        pull: async (controller) => {
          const { done, value } = await this.#source.read().catch(() => this.#whyItEnded());
          if (this.#readerEnded) return;
          if (!done) {
            controller.enqueue(value);
            return;
          }
          this.#readerEnded = true;
          controller.close();
        },
        cancel: () => {
          this.#readerEnded = true;
          return this.#source.cancel();
        },
      },
      { highWaterMark: 0 },
    );
  }

  #makeWritable(): WritableStream<SocketBytes> {
    return new WritableStream(
      {
        start: (controller) => {
          this.#writer = controller;
        },
        write: async (chunk) => {
          if (!(chunk instanceof ArrayBuffer) && !ArrayBuffer.isView(chunk)) {
            const text = `a socket takes ArrayBuffers and views on them, not ${typeof chunk}: encode text with TextEncoder`;
            throw new TypeError(text);
          }
          await this.#sink.ready.catch(() => this.#whyItEnded());
          await this.#sink.write(chunk).catch(() => this.#whyItEnded());
        },
        close: () => this.#sink.close().catch(() => this.#whyItEnded()),
        abort: (reason) => {
          this.abort(reason ?? new SlirpError(ErrorCode.closed, "the connection was aborted"));
        },
      },
      { highWaterMark: 1 },
    );
  }

  #failReader(error: unknown): void {
    if (this.#readerEnded) return;
    this.#readerEnded = true;
    this.#reader.error(error);
  }

  /** A stream has failed; the connection has then, too. */
  async #whyItEnded(): Promise<never> {
    await this.closed;
    throw new SlirpError(ErrorCode.connectionReset, "the connection's stream has ended");
  }
}
