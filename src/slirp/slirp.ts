/**
 * The slirp backend: libslirp behind the contract NetBackend, and what a stack offers beyond it (forwards, a look inside).
 *
 * `createSlirp` of an entry makes one; it gives the host network and the compiled module, which this folder does not choose.
 */
import {
  SendStatus,
  type BackendCallbacks,
  type BackendStatistics,
  type FrameBatch,
  type HeaderLength,
  type NetBackend,
  type SendResult,
} from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { HostNetwork } from "../host-network.js";
import type { GuestForward, HostForward, ResolvedSlirpOptions } from "../slirp-options.js";
import { Forwards } from "./forwards.js";
import { SharedField } from "./module-instance.js";
import type { SocketDescription } from "./socket-table.js";
import { Stack, type LogLevel } from "./stack.js";

const ETHERNET_HEADER_BYTES = 14;
/** The largest IP packet and its Ethernet header; a longer frame is no frame. */
const MAX_FRAME_BYTES = 65535 + ETHERNET_HEADER_BYTES;

/** What a stack is made of. */
export interface SlirpParts {
  readonly module: WebAssembly.Module;
  readonly network: HostNetwork;
  /** From `resolveSlirpOptions` in config. */
  readonly options: ResolvedSlirpOptions;
  /** Close the host network with the stack. Default false: it may serve several. */
  readonly ownsNetwork?: boolean;
  /** Reads a rule that was given as text. Without it, only objects are taken. */
  readonly parseHostForward?: (rule: string) => HostForward;
  /** Closes the stack when it is aborted. */
  readonly signal?: AbortSignal;
  /** Told what libslirp has to say: about a guest's misbehaviour, mostly. Default: nobody. */
  readonly onLog?: (level: LogLevel, text: string) => void;
}

/** See the top of the file. */
export class Slirp implements NetBackend {
  readonly name = "slirp";
  callbacks: BackendCallbacks | undefined;

  /** The options in force. */
  readonly options: ResolvedSlirpOptions;

  private readonly parts: SlirpParts;
  private readonly stack: Stack;
  private readonly forwardTable: Forwards;
  private readonly result = { status: SendStatus.taken as SendStatus, consumed: 0, dropped: 0 };
  private readonly counters = {
    framesFromGuest: 0,
    framesToGuest: 0,
    bytesFromGuest: 0,
    bytesToGuest: 0,
    dropped: 0,
  };
  private headerLength: HeaderLength = 0;
  private receiving = false;
  private nicWaits = false;
  private closing: Promise<void> | undefined;

  private constructor(parts: SlirpParts) {
    this.parts = parts;
    this.options = parts.options;
    this.stack = new Stack(parts.module, parts.network, parts.options, {
      onFrames: (batch) => {
        this.pushFrames(batch);
      },
      onRoom: () => {
        this.tellWritable();
      },
      onFailure: (error) => {
        this.callbacks?.onError?.(error);
      },
      onLog: (level, text) => parts.onLog?.(level, text),
    });
    this.forwardTable = new Forwards(this.stack);
    parts.signal?.addEventListener("abort", this.onAbort, { once: true });
  }

  /**
   * Makes a stack and its forwards.
   * @throws SlirpError `moduleUnusable`, `invalidConfiguration`, `unsupportedOption`, `forwardFailed`; nothing stays open then.
   */
  static async create(parts: SlirpParts): Promise<Slirp> {
    if (parts.options.tftpRoot !== undefined && !parts.network.openFile) {
      const text = `tftp: the host network "${parts.network.name}" has no files to serve`;
      throw new SlirpError(ErrorCode.unsupportedOption, text);
    }
    const slirp = new Slirp(parts);
    try {
      for (const forward of parts.options.guestForwards) slirp.forwardTable.addGuest(forward);
      for (const forward of parts.options.hostForwards) await slirp.addForward(forward);
      parts.signal?.throwIfAborted();
      return slirp;
    } catch (error) {
      await slirp.close();
      throw error;
    }
  }

  /**
   * Opens a host port towards the guest. Answers the forward with the port it got, where 0 was asked for.
   * @throws SlirpError `forwardFailed` (cause: the system's error, e.g. code EADDRINUSE), `invalidConfiguration` for bad text.
   */
  async addForward(forward: HostForward | string): Promise<HostForward> {
    this.checkOpen();
    const added = await this.forwardTable.add(this.readForward(forward));
    if (this.closing) {
      throw new SlirpError(
        ErrorCode.closed,
        "the stack was closed while the forward was being bound",
      );
    }
    return added;
  }

  /** Closes a host port; its connections stay. @throws SlirpError `noSuchForward`. */
  removeForward(forward: HostForward | string): void {
    this.checkOpen();
    this.forwardTable.remove(this.readForward(forward));
  }

  /** The host forwards in force. */
  forwards(): HostForward[] {
    return this.forwardTable.list();
  }

  /** Gives an address of the guest's network to something on the host. @throws SlirpError, see `Forwards.addGuest`. */
  addGuestForward(forward: GuestForward): void {
    this.checkOpen();
    this.forwardTable.addGuest(forward);
  }

  /** The guest forwards in force. */
  guestForwards(): GuestForward[] {
    return this.forwardTable.listGuest();
  }

  send(frame: Uint8Array): SendStatus {
    return this.sendBytes(frame, 0, frame.length);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (!this.accepts(length)) return SendStatus.dropped;
    const taken =
      this.stack.areas.putGathered(pieces, length) ||
      (this.tryMakeRoom() && this.stack.areas.putGathered(pieces, length));
    return this.finishSend(taken, length);
  }

  sendBatch(batch: FrameBatch): SendResult {
    const { result } = this;
    result.dropped = 0;
    result.consumed = 0;
    for (; result.consumed < batch.count; result.consumed++) {
      const status = this.sendBytes(
        batch.bytes,
        batch.offsets[result.consumed] ?? 0,
        batch.lengths[result.consumed] ?? 0,
      );
      if (status === SendStatus.mustWait) {
        result.status = status;
        return result;
      }
      if (status === SendStatus.dropped) result.dropped++;
    }
    result.status = result.dropped > 0 ? SendStatus.dropped : SendStatus.taken;
    return result;
  }

  enableReceive(): void {
    this.checkOpen();
    this.receiving = true;
    if (!this.stack.failed) this.stack.setPushing(true);
  }

  disableReceive(): void {
    this.checkOpen();
    this.receiving = false;
    this.stack.setPushing(false);
  }

  peek(): number {
    this.checkPulling();
    return this.stack.areas.peek();
  }

  receive(target: Uint8Array): number {
    this.checkPulling();
    const { areas, loop } = this.stack;
    const length = areas.peek();
    if (length === 0) return 0;
    if (length > target.length) {
      throw new RangeError(
        `the next frame has ${String(length)} bytes, the target only ${String(target.length)}`,
      );
    }
    areas.take(target);
    this.counters.framesToGuest++;
    this.counters.bytesToGuest += length - this.headerLength;
    // What was kept back for want of room can come now.
    if (areas.peek() === 0) loop.requestSoon();
    return length;
  }

  /** libslirp computes every checksum and cuts every segment itself: no features, with any header. */
  capabilities(_headerLength: HeaderLength): bigint {
    this.checkOpen();
    return 0n;
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.checkOpen();
    if (features !== 0n || ![0, 10, 12].includes(headerLength)) {
      const asked = `features 0x${features.toString(16)} with header length ${String(headerLength)}`;
      const text = `slirp cannot do ${asked}: it has no features, and header lengths 0, 10 and 12`;
      throw new SlirpError(ErrorCode.unsupportedCapability, text);
    }
    this.headerLength = headerLength;
    this.stack.call(() => {
      this.stack.instance.exports.frames_set_header_length(headerLength);
    });
  }

  statistics(): BackendStatistics {
    this.checkOpen();
    const { instance } = this.stack;
    const { dropped, ...counters } = this.counters;
    return {
      ...counters,
      droppedFromGuest: dropped + instance.get(SharedField.inputDropped),
      droppedToGuest: instance.get(SharedField.outputDropped),
    };
  }

  /** Linear memory of the stack, bytes: what it has ever needed, for it does not shrink. */
  get memoryBytes(): number {
    return this.stack.instance.memoryBytes;
  }

  /** libslirp's table of connections, as QEMU's `info usernet` prints it (IPv4 only). */
  connectionInfo(): string {
    this.checkOpen();
    const { instance, pointer } = this.stack;
    return this.stack.call(() =>
      instance.takeText(instance.exports.slirp_connection_info(pointer)),
    );
  }

  /** libslirp's ARP and NDP tables as text. */
  neighborInfo(): string {
    this.checkOpen();
    const { instance, pointer } = this.stack;
    return this.stack.call(() => instance.takeText(instance.exports.slirp_neighbor_info(pointer)));
  }

  /** The host sockets that the stack has open. */
  sockets(): SocketDescription[] {
    return this.stack.table.list();
  }

  /** libslirp's version. */
  get libslirpVersion(): string {
    return this.stack.instance.cTextAt(this.stack.instance.exports.slirp_version_string());
  }

  /** Sockets and timers keep the process alive (the default). It concerns the whole host network. */
  ref(): void {
    this.parts.network.ref();
  }

  /** They do not. */
  unref(): void {
    this.parts.network.unref();
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private readonly onAbort = (): void => {
    void this.close();
  };

  private async closeOnce(): Promise<void> {
    this.callbacks = undefined;
    this.parts.signal?.removeEventListener("abort", this.onAbort);
    // A NIC may close the backend from within onFrames, which the module itself may have called.
    while (this.stack.isBusy) await Promise.resolve();
    this.stack.destroy();
    if (this.parts.ownsNetwork) await this.parts.network.close();
  }

  private checkOpen(): void {
    if (this.closing) throw new SlirpError(ErrorCode.closed, "the slirp backend is closed");
  }

  private checkPulling(): void {
    this.checkOpen();
    if (this.receiving) {
      throw new SlirpError(
        ErrorCode.invalidConfiguration,
        "frames are pushed: call disableReceive before peek or receive",
      );
    }
  }

  private readForward(forward: HostForward | string): HostForward {
    if (typeof forward !== "string") return forward;
    if (this.parts.parseHostForward) return this.parts.parseHostForward(forward);
    throw new SlirpError(
      ErrorCode.invalidConfiguration,
      `no parser was given for the rule "${forward}": give an object`,
    );
  }

  private accepts(length: number): boolean {
    this.checkOpen();
    const bytes = length - this.headerLength;
    if (!this.stack.failed && bytes >= ETHERNET_HEADER_BYTES && bytes <= MAX_FRAME_BYTES)
      return true;
    this.counters.dropped++;
    return false;
  }

  private sendBytes(bytes: Uint8Array, offset: number, length: number): SendStatus {
    if (!this.accepts(length)) return SendStatus.dropped;
    const { areas } = this.stack;
    const taken =
      areas.put(bytes, offset, length) || (this.tryMakeRoom() && areas.put(bytes, offset, length));
    return this.finishSend(taken, length);
  }

  /** False from within a callback of the module: the frames then wait for the turn after it. */
  private tryMakeRoom(): boolean {
    if (this.stack.isBusy) return false;
    this.stack.makeRoom();
    return !this.stack.failed;
  }

  private finishSend(taken: boolean, length: number): SendStatus {
    this.stack.loop.requestSoon();
    if (taken) {
      this.counters.framesFromGuest++;
      this.counters.bytesFromGuest += length - this.headerLength;
      return SendStatus.taken;
    }
    this.nicWaits = true;
    return SendStatus.mustWait;
  }

  private pushFrames(batch: FrameBatch): void {
    const { callbacks, counters } = this;
    counters.framesToGuest += batch.count;
    for (let i = 0; i < batch.count; i++)
      counters.bytesToGuest += (batch.lengths[i] ?? 0) - this.headerLength;
    callbacks?.onFrames(batch);
  }

  private tellWritable(): void {
    if (!this.nicWaits) return;
    this.nicWaits = false;
    this.callbacks?.onWritable?.();
  }
}
