/**
 * The QEMU end of a stream: sends and receives frames over a real socket, and misbehaves when it is told to.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { QemuAddress } from "../../src/nics/qemu-address.js";
import { encodeStreamFrames, StreamFrameParser } from "../../src/nics/qemu-framing.js";
import { batchOf, frameIndex, framesOf } from "./frames.js";

/** See the top of the file. */
export class FakeQemu {
  readonly received: Uint8Array[] = [];
  readonly socket: Socket;
  readonly #parser = new StreamFrameParser();
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.isClosed = true;
    });
    socket.on("data", (chunk: Buffer) => {
      this.#parser.push(chunk);
      for (let batch = this.#parser.next(); batch; batch = this.#parser.next()) {
        this.received.push(...framesOf(batch));
      }
    });
  }

  /** Connects to a server. */
  static async connect(address: QemuAddress): Promise<FakeQemu> {
    const socket = connect({ ...address });
    await once(socket, "connect");
    return new FakeQemu(socket);
  }

  /** Numbers of the frames that were received. */
  get indices(): (number | undefined)[] {
    return this.received.map((frame) => frameIndex(frame));
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(encodeStreamFrames(batchOf(frames)));
  }

  sendRaw(...bytes: number[]): void {
    this.socket.write(Uint8Array.from(bytes));
  }

  close(): void {
    this.socket.destroy();
  }
}
