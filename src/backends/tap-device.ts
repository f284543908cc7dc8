/**
 * What can be said to a TAP device through one of its descriptors, beside frames: header, offloads, buffers, queues.
 *
 * Header and offloads belong to the device, not to one queue of it. So a device with several queues keeps its first header length, which
 * every port translates from; and its offloads are those that all its queues have agreed on (`tap-shared-offloads.ts`).
 */
import type { HeaderLength } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { HEADER_LENGTHS, isHeaderLength, VirtioNetFeature } from "../virtio-net.js";
import { TunFlag, TunRequest, type TapAddon } from "./tap-addon.js";
import type { TapDescriptor } from "./tap-descriptor.js";
import { codeOf, deviceError } from "./tap-errors.js";
import {
  effectiveOffloads,
  featuresOf,
  offloadsOf,
  whyUnfit,
  type OffloadSwitches,
} from "./tap-offloads.js";
import { SharedOffloads } from "./tap-shared-offloads.js";

/** The header that every device begins with. */
export const PLAIN_HEADER_BYTES = 10;
/** No bound: what QEMU gives, too. */
const UNBOUNDED = 0x7fff_ffff;

/** What can be asked of a TAP device, and told it, beside frames. */
export class TapDevice {
  /** Interface's name when the device was opened. */
  readonly name: string;
  /** Whether frames have a virtio-net header in the kernel, without which there are no offloads. */
  readonly hasHeader: boolean;
  /** Whether the interface can have several queues. */
  readonly isMultiQueue: boolean;
  /** Told when the port has to translate from or to something else. */
  onHeaderChange: (() => void) | undefined;

  readonly #addon: TapAddon;
  readonly #fd: number;
  readonly #switches: OffloadSwitches = { checksum: true, segmentation: true };
  #kernelHeader = 0;
  /** The header's length that somebody else relies on. */
  readonly #pinnedHeader: HeaderLength | undefined;
  readonly #shared: SharedOffloads;
  #agreed = 0;
  #bigEndian = false;
  #enabled = true;

  /**
   * Puts what a device remembers of its last user to a known state: no offloads, the header's length and byte order, no steering program, the
   * cable in. A header whose length is given keeps it. What the interface was given from outside (addresses, filters) stays.
   * @param shared with the device's other queues
   * @throws SlirpError `deviceFailed`
   */
  constructor(
    addon: TapAddon,
    { fd, name, flags }: TapDescriptor,
    pinnedHeader?: HeaderLength,
    shared = new SharedOffloads(addon),
  ) {
    this.#addon = addon;
    this.#fd = fd;
    this.#shared = shared;
    this.name = name;
    this.hasHeader = (flags & TunFlag.header) !== 0;
    this.isMultiQueue = (flags & TunFlag.multiQueue) !== 0;
    this.#pinnedHeader = pinnedHeader;
    this.#reset(TunRequest.setSteering, -1, "its steering program cannot be taken away");
    this.#reset(TunRequest.setCarrier, 1, "its carrier cannot be set");
    if (!this.hasHeader) return;
    const header = pinnedHeader ?? PLAIN_HEADER_BYTES;
    this.#setOffloads(0, this.#switches);
    this.#control(TunRequest.setHeaderLength, header, "its header cannot be set");
    this.#kernelHeader = header;
    // Without either the fields are in the machine's own byte order.
    this.#reset(TunRequest.setBigEndian, 0, "its header's byte order cannot be set");
    this.#reset(TunRequest.setLittleEndian, 1, "its header's byte order cannot be set");
  }

  /** Bytes before each frame in the kernel. */
  get kernelHeaderBytes(): number {
    return this.#kernelHeader;
  }

  /** The byte order of the header's fields. */
  get isBigEndian(): boolean {
    return this.#bigEndian;
  }

  /** Whether the queue is attached; see {@link setEnabled}. */
  get isEnabled(): boolean {
    return this.#enabled;
  }

  /** Features that the device has with a header of this length, as `NetBackend.capabilities` answers them. */
  features(headerLength: HeaderLength): bigint {
    if (headerLength === 0 || !this.hasHeader) return 0n;
    const merged = headerLength === 12 ? VirtioNetFeature.mergedReceiveBuffers : 0n;
    return featuresOf(this.#supportedOffloads()) | merged;
  }

  /** What was agreed on towards the guest, of `TunOffload`; switched off or not. */
  get agreedOffloads(): number {
    return this.#agreed;
  }

  /** Header lengths that the kernel itself can have before frames; the others are the port's work. */
  probeHeaderLengths(): HeaderLength[] {
    if (!this.hasHeader) return [0];
    if (this.#pinnedHeader !== undefined) return [this.#pinnedHeader];
    const before = this.#kernelHeader;
    const lengths = HEADER_LENGTHS.filter((length) => length !== 0 && this.#trySetHeader(length));
    this.#control(TunRequest.setHeaderLength, before, "its header cannot be set back");
    this.#kernelHeader = before;
    return lengths;
  }

  /** See `NetBackend.setCapabilities`. @throws SlirpError `unsupportedCapability`, `deviceFailed`; nothing has changed then */
  agree(features: bigint, headerLength: HeaderLength): void {
    if (!isHeaderLength(headerLength)) {
      throw this.#incapable(`there is no header of ${String(headerLength)} bytes`);
    }
    const missing = features & ~this.features(headerLength);
    const wanted = offloadsOf(features);
    const problem =
      missing === 0n
        ? whyUnfit(wanted)
        : `it has no features 0x${missing.toString(16)} with header length ${headerLength}`;
    if (problem !== undefined) throw this.#incapable(problem);
    const headerBefore = this.#kernelHeader;
    if (this.hasHeader && !this.#isShared && headerLength !== headerBefore) {
      this.#trySetHeader(headerLength === 0 ? PLAIN_HEADER_BYTES : headerLength);
    }
    try {
      this.#setOffloads(wanted, this.#switches);
    } catch (error) {
      this.#restoreHeader(headerBefore);
      throw error;
    }
    this.#agreed = wanted;
  }

  /** Switches offloads towards the guest at run time, within those that were agreed on. What is left out stays as it is. */
  switchOffloads(switches: Partial<OffloadSwitches>): void {
    const next = { ...this.#switches, ...switches };
    this.#setOffloads(this.#agreed, next);
    Object.assign(this.#switches, next);
  }

  /** What {@link switchOffloads} has set. */
  get offloadSwitches(): Readonly<OffloadSwitches> {
    return { ...this.#switches };
  }

  /**
   * Sets the byte order of the header's fields: little unless the guest is a big-endian one with a legacy device.
   * @throws SlirpError `unsupportedCapability` where the kernel was built without
   */
  setByteOrder(order: "little" | "big"): void {
    if (!this.hasHeader) throw this.#incapable("it has no header");
    const isBig = order === "big";
    try {
      // The kernel prefers little where both are set. Big comes first: where there is none, nothing has changed.
      if (isBig) this.#addon.control(this.#fd, TunRequest.setBigEndian, 1);
      this.#addon.control(this.#fd, TunRequest.setLittleEndian, Number(!isBig));
    } catch (cause) {
      if (codeOf(cause) !== "EINVAL") throw deviceError(`${this.#what}: no byte order`, cause);
      throw this.#incapable(`the kernel has no ${order}-endian headers`);
    }
    this.#bigEndian = isBig;
    this.onHeaderChange?.();
  }

  /** Bytes that the kernel holds of what the guest sends; `undefined` for no bound. 0, with which nothing could be sent, is refused. */
  setSendBuffer(bytes: number | undefined): void {
    if (bytes !== undefined && !(Number.isInteger(bytes) && bytes >= 1 && bytes <= UNBOUNDED)) {
      const text = `option sendBufferBytes: it is ${String(bytes)}; choose a whole number from 1 to ${UNBOUNDED}`;
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
    const value = bytes ?? UNBOUNDED;
    this.#control(TunRequest.setSendBuffer, value, "its send buffer cannot be set");
  }

  /** Bytes; see {@link setSendBuffer}. */
  sendBufferBytes(): number {
    return this.#control(TunRequest.getSendBuffer, 0, "its send buffer is not to be learned");
  }

  /** Whether the interface stays when nobody has it open. */
  setPersistent(on: boolean): void {
    this.#control(TunRequest.setPersistent, Number(on), "it cannot be made persistent");
  }

  /** User that may attach to the interface without privileges. */
  setOwner(user: number): void {
    this.#control(TunRequest.setOwner, user, "its owner cannot be set");
  }

  /** Group whose members may attach to the interface without privileges. */
  setGroup(group: number): void {
    this.#control(TunRequest.setGroup, group, "its group cannot be set");
  }

  /** Whether the guest's cable is in: the interface's carrier. */
  setCarrier(on: boolean): void {
    this.#control(TunRequest.setCarrier, Number(on), "its carrier cannot be set");
  }

  /** The eBPF program, by its descriptor, that picks the queue for each frame towards the guests; `undefined` for the kernel's own way. */
  setSteeringProgram(programFd: number | undefined): void {
    this.#control(TunRequest.setSteering, programFd ?? -1, "the program cannot steer its queues");
  }

  /**
   * Takes the queue out of the device, or puts it back. An extra call does nothing. A queue that is out gets no frames and takes none.
   * Use `TapBackend.setQueueEnabled`, which stops reading before.
   */
  setEnabled(on: boolean): void {
    if (on === this.#enabled) return;
    if (!this.isMultiQueue) throw this.#incapable("it has a single queue; open it with several");
    const flag = on ? TunFlag.attachQueue : TunFlag.detachQueue;
    this.#control(TunRequest.setQueue, flag, `its queue cannot be ${on ? "enabled" : "disabled"}`);
    this.#enabled = on;
    if (on) this.#setOffloads(this.#agreed, this.#switches);
    else this.leave();
  }

  /** The descriptor is no queue of the device any more, or is about to be none. */
  leave(): void {
    this.#shared.leave(this.#fd);
  }

  /** Whether others rely on the header's length. */
  get #isShared(): boolean {
    return this.isMultiQueue || this.#pinnedHeader !== undefined;
  }

  get #what(): string {
    return `the TAP ${JSON.stringify(this.name)}`;
  }

  #supportedOffloads(): number {
    try {
      return this.#shared.supported(this.#fd);
    } catch (cause) {
      throw deviceError(`${this.#what}: its offloads are not to be learned`, cause);
    }
  }

  /** A queue that is out of the device has none to set: they are set when it is put back. */
  #setOffloads(agreed: number, switches: Readonly<OffloadSwitches>): void {
    if (!this.hasHeader || !this.#enabled) return;
    try {
      this.#shared.want(this.#fd, effectiveOffloads(agreed, switches));
    } catch (cause) {
      if (cause instanceof SlirpError) throw cause;
      throw deviceError(`${this.#what}: its offloads cannot be set`, cause);
    }
  }

  /** After a failure that is to be told: what goes wrong here is not. */
  #restoreHeader(length: number): void {
    if (this.#kernelHeader === length) return;
    try {
      this.#trySetHeader(length);
    } catch {
      // The device is as good as gone; the port has to know of the header that it has.
      this.onHeaderChange?.();
    }
  }

  #trySetHeader(length: number): boolean {
    try {
      this.#addon.control(this.#fd, TunRequest.setHeaderLength, length);
    } catch (cause) {
      if (codeOf(cause) === "EINVAL") return false;
      throw deviceError(`${this.#what}: its header cannot be set`, cause);
    }
    this.#kernelHeader = length;
    return true;
  }

  /** What the kernel does not know, nobody can have set. */
  #reset(request: TunRequest, value: number, problem: string): void {
    try {
      this.#addon.control(this.#fd, request, value);
    } catch (cause) {
      if (codeOf(cause) === "EINVAL") return;
      throw deviceError(`${this.#what}: ${problem}`, cause, REMEDY_OF_CONTROL[codeOf(cause)]);
    }
  }

  #control(request: TunRequest, value: number, problem: string): number {
    try {
      return this.#addon.control(this.#fd, request, value);
    } catch (cause) {
      throw deviceError(`${this.#what}: ${problem}`, cause, REMEDY_OF_CONTROL[codeOf(cause)]);
    }
  }

  #incapable(problem: string): SlirpError {
    return new SlirpError(ErrorCode.unsupportedCapability, `${this.#what}: ${problem}`);
  }
}

/** Of requests to a device that is open, the usual reasons are others. */
const REMEDY_OF_CONTROL: Readonly<Record<string, string>> = {
  EPERM: "it takes CAP_NET_ADMIN in the device's network namespace",
  EINVAL: "the kernel does not take this value",
  EBADF: "the descriptor that was given is not open, or of another kind",
  EBADFD: "the device was deleted",
};
