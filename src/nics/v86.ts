/**
 * v86's network card as a NIC.
 *
 * v86 speaks by events: `net0-send` has a frame of the guest, `net0-receive` is one for it. Both are synchronous, and both
 * sides copy within the call (the backend by contract, v86's cards into guest memory or their own), so nothing is copied
 * here but what has to wait or to be changed. Four things are put right on the way:
 * - A card that is full gets its frames when it has room again, instead of losing them (paced-delivery.ts).
 * - A guest whose interrupts v86 has lost gets them again (v86-interrupts.ts).
 * - ne2k drops every multicast, so router advertisements; the same frame sent to the guest's own address is taken.
 * - The guest's address is learned from what it sends: `net0-mac` is wrong after a state was restored.
 * A restored guest goes on with this attachment; frames that were waiting for the old one reach it and do no harm.
 */
import type { NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import {
  formatMac,
  isBroadcast,
  isGroupAddress,
  MAC_OFFSET,
  readMac,
  writeMac,
} from "../frames/mac-address.js";
import { PacedDelivery } from "./paced-delivery.js";
import { unlessClosed } from "./unless-closed.js";
import { V86Interrupts } from "./v86-interrupts.js";
import { V86ReceiveRing } from "./v86-receive-ring.js";
import { WaitingSender } from "./waiting-sender.js";

/** What an emulator must have; v86's class `V86` has it. */
export interface V86Emulator {
  /** Told of each frame that the guest sends. */
  add_listener(event: "net0-send", listener: (frame: Uint8Array) => void): void;
  /** Told no more. */
  remove_listener(event: "net0-send", listener: (frame: Uint8Array) => void): void;
  /** Not in v86's own types, but there. */
  readonly bus?: { send(event: string, value: unknown): void };
}

/** How a NIC is attached. */
export interface AttachV86Options {
  /**
   * The card that the emulator was made with (`net_device.type`). Default "auto": looked up in the emulator; where it is not
   * found, what ne2k needs is done, which does no harm to virtio.
   */
  readonly nic?: "virtio" | "ne2k" | "auto";
  /** Frames of the guest that are kept while the backend says mustWait; later ones are dropped. Default 256. */
  readonly maxWaitingFrames?: number;
}

/** What an attachment dropped itself, and put right. */
export interface V86AttachmentStatistics {
  /** Of the guest: the backend had no room for longer than the queue lasted. */
  readonly droppedFromGuest: number;
  /** Towards the guest: its card was off, or took nothing for a second. */
  readonly droppedToGuest: number;
  /** How often v86's interrupt controller had to be freed (v86-interrupts.ts). */
  readonly unblockedInterrupts: number;
}

/** A guest that is on the network. */
export interface V86Attachment {
  /** The guest's address as of its last frame; undefined before the first. */
  readonly mac: string | undefined;
  /** Counters since it was attached. */
  statistics(): V86AttachmentStatistics;
  /** Takes the guest off the backend, which stays open. Safe to call twice. */
  detach(): void;
  [Symbol.dispose](): void;
}

/**
 * Puts a v86 guest on a backend: sets the backend's callbacks, header length 0, and turns receiving on.
 * @throws SlirpError `invalidConfiguration` where the emulator has no bus
 */
export function attachV86(
  emulator: V86Emulator,
  backend: NetBackend,
  options: AttachV86Options = {},
): V86Attachment {
  return new V86Nic(emulator, backend, options);
}

/** Longer than any frame. */
const SCRATCH_BYTES = 65_536;

class V86Nic implements V86Attachment {
  readonly #emulator: V86Emulator;
  readonly #bus: NonNullable<V86Emulator["bus"]>;
  readonly #backend: NetBackend;
  readonly #ring: V86ReceiveRing;
  readonly #interrupts: V86Interrupts;
  readonly #delivery: PacedDelivery;
  readonly #nic: "virtio" | "ne2k" | "auto";
  readonly #sender: WaitingSender;
  readonly #onSend = (frame: Uint8Array): void => {
    this.#fromGuest(frame);
  };

  #detached = false;
  #macNumber: number | undefined;
  #scratch: Uint8Array | undefined;
  #unblockedInterrupts = 0;

  constructor(emulator: V86Emulator, backend: NetBackend, options: AttachV86Options) {
    if (!emulator.bus) {
      throw new SlirpError(
        ErrorCode.invalidConfiguration,
        "the emulator has no `bus` to send frames to; an instance of v86's class V86 has one",
      );
    }
    this.#emulator = emulator;
    this.#bus = emulator.bus;
    this.#backend = backend;
    this.#ring = new V86ReceiveRing(emulator);
    this.#interrupts = new V86Interrupts(emulator);
    this.#delivery = new PacedDelivery(
      backend,
      {
        prepare: () => {
          if (this.#interrupts.unblock()) this.#unblockedInterrupts++;
        },
        roomFor: (length) => this.#ring.roomFor(length),
        nudge: () => {
          this.#ring.nudge();
        },
        give: (frame, writable) => {
          this.#give(frame, writable);
        },
      },
      (act) => {
        this.#ifOpen(act);
      },
    );
    this.#nic = options.nic ?? "auto";
    this.#sender = new WaitingSender(backend, options.maxWaitingFrames ?? 256);
    backend.setCapabilities(0n, 0);
    backend.callbacks = {
      onFrames: (batch) => {
        this.#delivery.deliver(batch);
      },
      onWritable: () => {
        this.#ifOpen(() => {
          this.#sender.resume();
        });
      },
      onError: () => {
        this.detach();
      },
    };
    emulator.add_listener("net0-send", this.#onSend);
    backend.enableReceive();
  }

  get mac(): string | undefined {
    return this.#macNumber === undefined ? undefined : formatMac(this.#macNumber);
  }

  statistics(): V86AttachmentStatistics {
    return {
      droppedFromGuest: this.#sender.dropped,
      droppedToGuest: this.#delivery.dropped,
      unblockedInterrupts: this.#unblockedInterrupts,
    };
  }

  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#emulator.remove_listener("net0-send", this.#onSend);
    this.#delivery.stop();
    this.#sender.clear();
    this.#backend.callbacks = undefined;
    this.#ifOpen(() => {
      this.#backend.disableReceive();
    });
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  #ifOpen(act: () => void): void {
    unlessClosed(act, () => {
      this.detach();
    });
  }

  #fromGuest(frame: Uint8Array): void {
    if (!isGroupAddress(frame, MAC_OFFSET.source)) {
      this.#macNumber = readMac(frame, MAC_OFFSET.source);
    }
    this.#ifOpen(() => {
      this.#sender.send(frame);
      // A guest that answers has probably taken frames.
      this.#delivery.poke();
    });
  }

  /** Hands one frame to the card. `writable`: the memory is our own, the destination may be changed in place. */
  #give(frame: Uint8Array, writable: boolean): void {
    this.#bus.send(
      "net0-receive",
      this.#mustRewrite(frame) ? this.#toUnicast(frame, writable) : frame,
    );
  }

  #mustRewrite(frame: Uint8Array): boolean {
    if (!isGroupAddress(frame, MAC_OFFSET.destination)) return false;
    if (this.#macNumber === undefined || isBroadcast(frame, MAC_OFFSET.destination)) return false;
    return (this.#nic === "auto" ? this.#ring.nic : this.#nic) !== "virtio";
  }

  #toUnicast(frame: Uint8Array, writable: boolean): Uint8Array {
    let target = frame;
    if (!writable) {
      const scratch = (this.#scratch ??= new Uint8Array(SCRATCH_BYTES));
      scratch.set(frame);
      target = scratch.subarray(0, frame.length);
    }
    writeMac(target, MAC_OFFSET.destination, this.#macNumber ?? 0);
    return target;
  }
}
