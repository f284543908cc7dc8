/**
 * A queue of a TAP device as a NetBackend. The kernel of the device's network namespace is the network: what a NIC sends comes in on the
 * interface, and what the kernel puts out on the interface goes to the NIC.
 *
 * Frames go out at once, one system call each, and the kernel itself keeps those towards the guest (1000, unless `txqueuelen` says
 * otherwise) until they are read: there is no queue here, so that nothing can be lost in one. When the kernel takes no more, the rest is
 * the NIC's to keep until `onWritable`. Only one frame is ever held: the one that `peek` looked at.
 *
 * By vhost-net frames go through rings instead (native/vring.h). What is in them when a backend is closed is waited for, as if it had gone
 * out at once; that the interface is down is known by what netlink said of it.
 */
import { constants } from "node:os";
import type {
  BackendCallbacks,
  BackendStatistics,
  FrameBatch,
  HeaderLength,
  NetBackend,
  SendResult,
  SendStatus,
} from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { FrameCounters } from "../frames/frame-counters.js";
import {
  PORT_ANSWERS,
  PortAnswer,
  PortEvent,
  type FramePort,
  type PortMemory,
  type TapAddon,
} from "./tap-addon.js";
import type { TapBackendParts } from "./tap-backend-parts.js";
import { claimDescriptor, unclaimDescriptor, type TapDescriptor } from "./tap-descriptor.js";
import { TapDevice } from "./tap-device.js";
import { deviceError, errnoError } from "./tap-errors.js";
import { LinkWatch, type LinkState } from "./tap-link-watch.js";
import { DrainWait, openTapPort } from "./tap-port.js";
import { PeekedFrame } from "./tap-peeked-frame.js";
import { ReceiveArea } from "./tap-receive.js";
import type { DownScript } from "./tap-script.js";
import { TapTransmit } from "./tap-transmit.js";
import { VHOST_HEADER_BYTES, type TapVhostDetails, type VhostQueue } from "./tap-vhost.js";

/** A queue of a TAP device as a backend. Made by `openTap` and `openTapQueues`. */
export class TapBackend implements NetBackend {
  readonly name: string;
  /** The interface's name when it was opened. */
  readonly interfaceName: string;

  /** What can be said to the device beside frames. */
  readonly device: TapDevice;

  /**
   * Told when the interface is set up or down, or deleted, where it can be asked for (see {@link statistics}). Deleted is an error of the
   * backend, too, wherever it is.
   */
  onLinkChange: ((state: LinkState) => void) | undefined;

  readonly #fd: number;
  readonly #downScript: DownScript | undefined;
  readonly #addon: TapAddon;
  readonly #vhost: VhostQueue | undefined;
  readonly #whyNotVhost: string | undefined;
  readonly #port: FramePort;
  readonly #watch: LinkWatch;
  readonly #batch = ReceiveArea.forBatches();
  readonly #peeked = new PeekedFrame();
  readonly #answers = new Uint32Array(PORT_ANSWERS);
  readonly #transmit: TapTransmit;
  readonly #counters = new FrameCounters();
  #callbacks: BackendCallbacks | undefined;
  #headerLength: HeaderLength = 0;
  #receiving = false;
  #failed = false;
  #closing: Promise<void> | undefined;
  readonly #drainWait = new DrainWait();

  /** The descriptors are the backend's from then on, unless this throws. The script is run before the device is closed. */
  constructor(
    addon: TapAddon,
    descriptor: TapDescriptor,
    { downScript, vhost, offloads }: TapBackendParts,
  ) {
    claimDescriptor(descriptor.fd);
    this.#addon = addon;
    this.#downScript = downScript;
    this.#vhost = typeof vhost === "string" ? undefined : vhost;
    this.#whyNotVhost = typeof vhost === "string" ? vhost : undefined;
    this.#fd = descriptor.fd;
    this.interfaceName = descriptor.name;
    this.name = `tap:${descriptor.name}`;
    try {
      const pinned = this.#vhost ? VHOST_HEADER_BYTES : undefined;
      this.device = new TapDevice(addon, descriptor, pinned, offloads);
      this.#port = this.#openPort(addon, descriptor);
    } catch (cause) {
      unclaimDescriptor(descriptor.fd);
      throw cause instanceof SlirpError ? cause : deviceError(`${this.name} cannot be used`, cause);
    }
    this.#transmit = new TapTransmit({
      port: this.#port,
      answers: this.#answers,
      counters: this.#counters,
      leadsNowhere: () => this.#leadsNowhere(),
      onGone: (error) => {
        this.#failSoon(error);
      },
    });
    this.#watch = new LinkWatch(addon, descriptor, (state) => {
      this.#onLinkState(state);
    });
    this.device.onHeaderChange = () => {
      this.#updateHeaders();
    };
    this.#updateHeaders();
  }

  #openPort(addon: TapAddon, descriptor: TapDescriptor): FramePort {
    const { bytes, offsets, lengths } = this.#batch;
    const onEvent = this.#onEvent.bind(this);
    const memory: PortMemory = [bytes, offsets, lengths, this.#answers, onEvent];
    const way = { vhost: this.#vhost, hasHeader: this.device.hasHeader };
    return openTapPort(addon, descriptor, way, memory);
  }

  get callbacks(): BackendCallbacks | undefined {
    return this.#callbacks;
  }

  set callbacks(callbacks: BackendCallbacks | undefined) {
    this.#callbacks = callbacks;
    if (!this.#closing) this.#updateReading();
  }

  /** Number of the descriptor, for who knows what to do with it. It stays the backend's. */
  get fd(): number {
    this.#assertOpen("fd");
    return this.#fd;
  }

  /** Whether frames go by vhost-net, and how often that woke anybody. */
  get vhost(): TapVhostDetails {
    const [kicks, calls] = [this.#answers[PortAnswer.kicks]!, this.#answers[PortAnswer.calls]!];
    return { isUsed: this.#vhost !== undefined, reason: this.#whyNotVhost, kicks, calls };
  }

  send(frame: Uint8Array): SendStatus {
    this.#assertOpen("send");
    return this.#transmit.send(frame);
  }

  sendGathered(pieces: readonly Uint8Array[]): SendStatus {
    this.#assertOpen("sendGathered");
    return this.#transmit.sendGathered(pieces);
  }

  sendBatch(batch: FrameBatch): SendResult {
    this.#assertOpen("sendBatch");
    return this.#transmit.sendBatch(batch);
  }

  enableReceive(): void {
    this.#assertOpen("enableReceive");
    if (this.#receiving) return;
    this.#receiving = true;
    this.#updateReading();
  }

  disableReceive(): void {
    this.#assertOpen("disableReceive");
    this.#receiving = false;
    this.#updateReading();
  }

  peek(): number {
    this.#assertPulling("peek");
    if (!this.#failed && this.device.isEnabled) this.#peeked.fill((area) => this.#readNow(area));
    return this.#peeked.length;
  }

  receive(target: Uint8Array): number {
    this.#assertPulling("receive");
    const length = this.peek();
    if (length === 0) return 0;
    if (length > target.length) {
      const text = `the next frame is ${length} bytes long, the target only ${target.length}`;
      throw new RangeError(text);
    }
    this.#peeked.moveTo(target);
    this.#counters.countReceived(length - this.#headerLength);
    return length;
  }

  capabilities(headerLength: HeaderLength): bigint {
    this.#assertOpen("capabilities");
    return this.device.features(headerLength);
  }

  setCapabilities(features: bigint, headerLength: HeaderLength): void {
    this.#assertOpen("setCapabilities");
    this.device.agree(features, headerLength);
    const isKept = this.#peeked.reshape(headerLength, this.device.agreedOffloads);
    if (!isKept) this.#counters.countReceiveDrops(1);
    this.#headerLength = headerLength;
    this.#transmit.headerLength = headerLength;
    this.#updateHeaders();
  }

  /**
   * Takes the queue out of a device that has several, or puts it back. While it is out, frames from the guest are dropped and counted; what
   * was looked at by `peek` goes, too.
   * @throws SlirpError `unsupportedCapability` where the device has a single queue
   */
  setQueueEnabled(on: boolean): void {
    this.#assertOpen("setQueueEnabled");
    // A descriptor without queue is an error to the event loop: nobody may be watching it.
    const owesWritable = !on && this.#port.pause();
    if (on && !this.device.isEnabled) this.#port.discard();
    try {
      this.device.setEnabled(on);
    } finally {
      this.#updateReading();
      // What waits to be sent is dropped now, which is for the NIC to find out.
      if (owesWritable) queueMicrotask(() => this.#callbacks?.onWritable?.());
    }
    if (!on && this.#peeked.drop()) this.#counters.countReceiveDrops(1);
  }

  /**
   * `droppedToGuest` counts what the kernel had no room for, too (tx_dropped of the interface). Not where the interface is in a network namespace
   * that the process may not enter (setns(2): CAP_SYS_ADMIN in its own user namespace and in that one), as an ordinary user's container
   * is: `ip -s link` in there tells it.
   */
  statistics(): BackendStatistics {
    this.#assertOpen("statistics");
    const lost = this.#answers[PortAnswer.unreadable]! + this.#watch.droppedByKernel();
    return this.#counters.snapshot(0, lost);
  }

  /** An open backend that receives keeps the process alive; after `unref` it does not. */
  ref(): this {
    this.#assertOpen("ref");
    this.#port.setReferenced(true);
    return this;
  }

  /** See {@link ref}. */
  unref(): this {
    this.#assertOpen("unref");
    this.#port.setReferenced(false);
    return this;
  }

  /** Whether the interface is up, as of the last message of the kernel; `down` where one may not know (another's namespace). */
  get linkState(): LinkState {
    return this.#watch.state;
  }

  /** @throws what the script for the end threw; everything is given back nevertheless */
  close(): Promise<void> {
    return (this.#closing ??= this.#closeOnce());
  }

  /**
   * Closes the backend but not the descriptor, which is the caller's from then on: for another thread, or a program that inherits it. No
   * script is run.
   */
  releaseDescriptor(): number {
    this.#assertOpen("releaseDescriptor");
    this.abandon();
    if (this.#vhost) this.#addon.closeDescriptor(this.#vhost.fd);
    return this.#fd;
  }

  /** Opening has failed elsewhere: all descriptors are the caller's again. */
  abandon(): void {
    this.#closing = Promise.resolve();
    this.#callbacks = undefined;
    this.#downScript?.cancel();
    this.#watch.close();
    this.#closePort(true);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeOnce(): Promise<void> {
    this.#callbacks = undefined;
    this.#watch.close();
    try {
      if (this.#downScript) {
        this.#port.setReading(false);
        await this.#downScript.run();
      }
      // What `send` took is the kernel's to lose, not ours.
      if (this.#vhost && !this.#failed) await this.#drainWait.wait(this.#port);
    } finally {
      this.#closePort(false);
    }
  }

  #closePort(keepDescriptor: boolean): void {
    this.device.leave();
    unclaimDescriptor(this.#fd);
    this.#port.close(keepDescriptor);
  }

  #onLinkState(state: LinkState): void {
    this.onLinkChange?.(state);
    if (state === "deleted") this.#fail(errnoError(constants.errno.ENODEV, "netlink"));
  }

  #onEvent(event: number, value: number): void {
    if (this.#closing) return this.#drainWait.end();
    if (event === PortEvent.frames) this.#pushBatch(value);
    else if (event === PortEvent.writable) this.#callbacks?.onWritable?.();
    else this.#fail(errnoError(value, "read"));
  }

  #pushBatch(count: number): void {
    this.#batch.count = count;
    this.#counters.countBatch(this.#batch, this.#headerLength);
    this.#callbacks?.onFrames(this.#batch);
  }

  /** Reads while receiving is on and somebody listens; a frame that was only looked at goes before all others. */
  #updateReading(): void {
    const isOn =
      this.#receiving && this.#callbacks !== undefined && !this.#failed && this.device.isEnabled;
    if (isOn && this.#peeked.length > 0) queueMicrotask(() => this.#pushPeeked());
    this.#port.setReading(isOn);
  }

  #pushPeeked(): void {
    if (this.#closing || !this.#receiving || !this.#callbacks) return;
    const batch = this.#peeked.takeBatch();
    if (!batch) return;
    this.#counters.countBatch(batch, this.#headerLength);
    this.#callbacks.onFrames(batch);
  }

  #updateHeaders(): void {
    const { kernelHeaderBytes, isBigEndian, agreedOffloads } = this.device;
    this.#port.setHeaders(kernelHeaderBytes, this.#headerLength, isBigEndian, agreedOffloads);
  }

  #readNow({ bytes, offsets, lengths }: ReceiveArea): number {
    try {
      return this.#port.readNow(bytes, offsets, lengths);
    } catch (error) {
      this.#failSoon(error);
      return 0;
    }
  }

  /** Whether the kernel would take frames, and nobody see them. */
  #leadsNowhere(): boolean {
    if (!this.device.isEnabled) return true;
    return this.#vhost !== undefined && (this.#failed || this.#watch.isDown());
  }

  /** Not from within a call that the NIC itself makes. */
  #failSoon(error: unknown): void {
    queueMicrotask(() => this.#fail(error));
  }

  #fail(cause: unknown): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#port.setReading(false);
    this.#callbacks?.onError?.(deviceError(`${this.name} is gone`, cause));
  }

  #assertOpen(call: string): void {
    if (this.#closing) {
      throw new SlirpError(ErrorCode.closed, `${call} on ${this.name}, which is closed`);
    }
  }

  #assertPulling(call: string): void {
    this.#assertOpen(call);
    if (!this.#receiving) return;
    const text = `${call} on ${this.name} while frames are pushed: call disableReceive before`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
}
