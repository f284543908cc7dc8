/**
 * One backend for several guests: a small learning switch.
 *
 * Every guest gets a port, which is a NetBackend to its NIC; the backend, one stack say, is the uplink. Where an address
 * was last seen as a source is where frames to it go; group addresses and unknown ones go everywhere but back. Guests
 * reach each other, as on QEMU's hub.
 *
 * A guest whose port is full loses frames, alone, as at a real switch; when the uplink has no room, the sender is told
 * to wait and nobody has got the frame yet. An address of the uplink never moves to a guest: no guest can take the
 * gateway's traffic by claiming its address.
 */
import { SendStatus, type FrameBatch, type NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { FramePort } from "./frame-port.js";
import type { FrameQueueLimits } from "./frame-queue.js";
import { isGroupAddress, MAC_OFFSET, readMac, type MacNumber } from "./mac-address.js";

/** How a switch is set up. */
export interface FrameSwitchOptions {
  /** Addresses that are remembered; the one learned first is forgotten first. Default 1024. */
  readonly maxAddresses?: number;
  /** What waits for one guest. */
  readonly portLimits?: FrameQueueLimits;
  /** The uplink has ended by itself. Every guest's NIC is told as well. */
  readonly onUplinkError?: (error: Error) => void;
}

/** A learning switch: its ports are backends, and what is for none of them goes to the backend that it was made with. */
export class FrameSwitch {
  readonly #uplink: NetBackend;
  readonly #options: FrameSwitchOptions;
  readonly #maxAddresses: number;
  readonly #ports = new Set<SwitchPort>();
  /** Where an address is: a guest's port, or undefined for the uplink. */
  readonly #addresses = new Map<MacNumber, SwitchPort | undefined>();
  #closed = false;

  /** Takes over the uplink's callbacks and turns receiving on. The uplink stays the caller's: it is not closed here. */
  constructor(uplink: NetBackend, options: FrameSwitchOptions = {}) {
    this.#uplink = uplink;
    this.#options = options;
    this.#maxAddresses = options.maxAddresses ?? 1024;
    uplink.callbacks = {
      onFrames: (batch) => {
        this.#forwardFromUplink(batch);
      },
      onWritable: () => {
        for (const port of this.#ports) port.notifyWritable();
      },
      onError: (error) => {
        for (const port of this.#ports) port.notifyError(error);
        options.onUplinkError?.(error);
      },
    };
    uplink.enableReceive();
  }

  /** A new guest's backend. Closing it takes the guest off. */
  openPort(name: string): NetBackend {
    if (this.#closed) {
      throw new SlirpError(ErrorCode.closed, `port ${name} on a switch that is closed`);
    }
    const port = new SwitchPort(
      `${this.#uplink.name}/${name}`,
      (from, bytes, offset, length) => this.#forwardFromPort(from, bytes, offset, length),
      (closed) => {
        this.#removePort(closed);
      },
      this.#options.portLimits,
    );
    this.#ports.add(port);
    return port;
  }

  /** Closes every port and lets go of the uplink, without closing it: where it was closed before, nothing is done to it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#uplink.callbacks = undefined;
    await Promise.all([...this.#ports].map((port) => port.close()));
    this.#addresses.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #forwardFromPort(
    from: SwitchPort,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): SendStatus {
    this.#learn(readMac(bytes, offset + MAC_OFFSET.source), bytes, offset, from);
    const destination = readMac(bytes, offset + MAC_OFFSET.destination);
    const target = this.#addresses.get(destination);
    if (target) {
      if (target !== from) pushOrCount(target, bytes, offset, length);
      return SendStatus.taken;
    }
    // First the uplink: only it can say "wait", and then nobody else may have the frame already.
    const status = this.#uplink.send(bytes.subarray(offset, offset + length));
    if (status === SendStatus.mustWait || this.#addresses.has(destination)) return status;
    for (const port of this.#ports) {
      if (port !== from) pushOrCount(port, bytes, offset, length);
    }
    return SendStatus.taken;
  }

  #forwardFromUplink(batch: FrameBatch): void {
    const { bytes } = batch;
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offsets[i] ?? 0;
      const length = batch.lengths[i] ?? 0;
      this.#learn(readMac(bytes, offset + MAC_OFFSET.source), bytes, offset, undefined);
      const target = this.#addresses.get(readMac(bytes, offset + MAC_OFFSET.destination));
      if (target) pushOrCount(target, bytes, offset, length);
      else for (const port of this.#ports) pushOrCount(port, bytes, offset, length);
    }
  }

  #learn(mac: MacNumber, bytes: Uint8Array, offset: number, from: SwitchPort | undefined): void {
    const known = this.#addresses.get(mac);
    if (known === from && (known || this.#addresses.has(mac))) return;
    if (isGroupAddress(bytes, offset + MAC_OFFSET.source)) return;
    if (from && !known && this.#addresses.has(mac)) return;
    if (this.#addresses.size >= this.#maxAddresses) {
      const oldest = this.#addresses.keys().next().value;
      if (oldest !== undefined) this.#addresses.delete(oldest);
    }
    this.#addresses.set(mac, from);
  }

  #removePort(port: SwitchPort): void {
    this.#ports.delete(port);
    for (const [mac, at] of this.#addresses) if (at === port) this.#addresses.delete(mac);
  }
}

/**
 * Makes a switch on a backend: each guest, or channel of guests, gets a port of its own by `openPort`. The backend's callbacks are the
 * switch's from then on; the backend itself stays the caller's to close.
 */
export function createSwitch(uplink: NetBackend, options: FrameSwitchOptions = {}): FrameSwitch {
  return new FrameSwitch(uplink, options);
}

type ForwardFromPort = (
  from: SwitchPort,
  bytes: Uint8Array,
  offset: number,
  length: number,
) => SendStatus;

class SwitchPort extends FramePort {
  readonly #forward: ForwardFromPort;
  readonly #closed: (port: SwitchPort) => void;

  constructor(
    name: string,
    forward: ForwardFromPort,
    closed: (port: SwitchPort) => void,
    limits: FrameQueueLimits | undefined,
  ) {
    super(name, limits);
    this.#forward = forward;
    this.#closed = closed;
  }

  protected override forward(bytes: Uint8Array, offset: number, length: number): SendStatus {
    return this.#forward(this, bytes, offset, length);
  }

  protected override onClose(): void {
    this.#closed(this);
  }
}

function pushOrCount(port: SwitchPort, bytes: Uint8Array, offset: number, length: number): void {
  if (!port.deliver(bytes, offset, length)) port.countDroppedToGuest();
}
