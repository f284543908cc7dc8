/**
 * A TCP connection of the relay to a target.
 *
 * Every connection reads into one buffer, so that idle ones cost none, and what came is copied once, behind room for a packet's header:
 * the client gets that very memory.
 */
import { connect, type Socket } from "node:net";
import { MAX_PIECE_BYTES, takeMessage } from "./message-pool.js";

/** Its content is copied before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(MAX_PIECE_BYTES);

const NOTHING = new Uint8Array();

/** Whom a target tells. */
export interface TcpTargetOwner {
  onConnected(): void;
  /** Bytes came. `message` begins with room for a header, and is given to a link. False: stop reading until `resume`. */
  onData(message: Buffer): boolean;
  /** The target's FIN. */
  onEnd(): void;
  /** What was written is out, after `write` answered false. */
  onDrain(): void;
  /** Nothing went either way for the time that was given. */
  onIdle(): void;
  /** The connection failed, or never came about; nothing follows. */
  onError(error: NodeJS.ErrnoException): void;
  /** It is over, in order or not. Once. */
  onClose(): void;
}

/** See the top of the file. */
export class TcpTarget {
  readonly #owner: TcpTargetOwner;
  readonly #socket: Socket;
  #isCorked = false;

  /** Connects to `address`, or takes over `accepted`, a connection that came in. */
  constructor(
    owner: TcpTargetOwner,
    target: { readonly address: string; readonly port: number } | { readonly accepted: Socket },
    idleTimeoutMs: number,
  ) {
    this.#owner = owner;
    this.#socket = "accepted" in target ? this.#take(target.accepted) : this.#connect(target);
    this.#socket.setNoDelay(true);
    this.#socket.setTimeout(idleTimeoutMs, () => {
      owner.onIdle();
    });
    this.#socket.on("end", () => {
      this.#onEnd();
    });
    this.#socket.on("drain", () => {
      owner.onDrain();
    });
    this.#socket.on("error", (error) => {
      owner.onError(error);
    });
    this.#socket.on("close", () => {
      owner.onClose();
    });
  }

  /** Bytes that the system has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Writes; pieces of one turn go out together, such as messages that came in one read. False: there is more than should be, `onDrain` follows. */
  write(bytes: Uint8Array): boolean {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    return this.#socket.write(bytes);
  }

  /** FIN, behind what was written. */
  end(): void {
    this.#socket.end();
  }

  /** Ends in order what the client has closed: what was written goes out, what comes is thrown away, for `lingerMs` at most. */
  finish(lingerMs: number): void {
    this.#socket.end();
    this.#socket.resume();
    const timer = setTimeout(() => {
      this.reset();
    }, lingerMs);
    this.#socket.once("close", () => {
      clearTimeout(timer);
    });
  }

  /** Ends with RST. */
  reset(): void {
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /**
   * libuv tells a reset as an end in order where data came with it (it takes the hang-up behind a partial read for that). The system
   * knows better, and tells who writes, be it nothing.
   */
  #onEnd(): void {
    if (!this.#socket.writable || this.#socket.writableLength > 0) {
      this.#owner.onEnd();
      return;
    }
    this.#socket.write(NOTHING, (error) => {
      if (!error) this.#owner.onEnd();
    });
  }

  #connect({ address, port }: { readonly address: string; readonly port: number }): Socket {
    const socket = connect({
      host: address,
      port,
      allowHalfOpen: true,
      onread: {
        buffer: readBuffer,
        callback: (count) => this.#owner.onData(takeMessage(readBuffer.subarray(0, count))),
      },
    });
    socket.once("connect", () => {
      this.#owner.onConnected();
    });
    return socket;
  }

  #take(socket: Socket): Socket {
    socket.on("data", (data: Buffer) => {
      for (let at = 0; at < data.length; at += MAX_PIECE_BYTES) {
        const piece = data.subarray(at, at + MAX_PIECE_BYTES);
        if (!this.#owner.onData(takeMessage(piece))) socket.pause();
      }
    });
    return socket;
  }
}
