/**
 * Frames over a connected SOCK_SEQPACKET socket, a message each: the `bess` transport of User Mode Linux.
 *
 * The data path is the TAP's (native/frame-port.c). When the other side takes nothing for a while, frames wait there; when our side does
 * not, reading stops and they wait in the kernel.
 */
import type { SendStatus } from "../backend.js";
import { SendStatus as Status } from "../backend.js";
import { FramePort } from "../frames/frame-port.js";
import {
  loadTapAddon,
  PORT_ANSWERS,
  PortEvent,
  PortStatus,
  type FramePort as NativePort,
} from "./tap-addon.js";
import { deviceError, errnoError } from "./tap-errors.js";
import { ReceiveArea } from "./tap-receive.js";

/** Two full batches, and their headers. */
const LIMITS = { maxBytes: 1_200_000, maxFrames: 256 };

const STATUS = {
  [PortStatus.taken]: Status.taken,
  [PortStatus.dropped]: Status.dropped,
  [PortStatus.mustWait]: Status.mustWait,
} as const;

/** See the top of the file. It ends with an error when the other side closes. */
export class PacketSocket extends FramePort {
  readonly #port: NativePort;
  readonly #area = ReceiveArea.forBatches();
  #isFull = false;

  /** The descriptor is the backend's from then on. @throws SlirpError `addonUnavailable` */
  constructor(fd: number, name: string) {
    super(name, LIMITS);
    const addon = loadTapAddon();
    addon.prepareDescriptor(fd);
    const { bytes, offsets, lengths } = this.#area;
    const answers = new Uint32Array(PORT_ANSWERS);
    const onEvent = (event: number, value: number): void => {
      if (event === PortEvent.frames) this.#take(value);
      else if (event === PortEvent.writable) this.notifyWritable();
      else this.#end(value);
    };
    this.#port = new addon.FramePort(fd, true, bytes, offsets, lengths, answers, onEvent);
    this.#port.setReading(true);
  }

  protected override forward(bytes: Uint8Array, offset: number, length: number): SendStatus {
    const status = this.#port.send(bytes.subarray(offset, offset + length));
    return STATUS[status as keyof typeof STATUS];
  }

  protected override onRoom(): void {
    if (!this.#isFull || this.isClosed) return;
    this.#isFull = false;
    this.#port.setReading(true);
  }

  protected override onClose(): void {
    this.#port.close(false);
  }

  #take(count: number): void {
    const { bytes, offsets, lengths } = this.#area;
    for (let i = 0; i < count; i++) {
      if (!this.deliver(bytes, offsets[i]!, lengths[i]!)) this.countDroppedToGuest();
    }
    // There is room for one more batch, which may be read already.
    this.#isFull = true;
    this.#port.setReading(false);
  }

  #end(errno: number): void {
    this.notifyError(
      deviceError(`${this.name}: the other side is gone`, errnoError(errno, "read")),
    );
  }
}
