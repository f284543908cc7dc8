/**
 * How much v86's emulated card can take right now.
 *
 * v86 has no word for "not now": a frame for which the guest has no buffer is dropped, and a burst of a TCP window is
 * several times what ne2k's ring holds (13 KiB). Two cases are worse than loss: a virtio queue that the guest has not set
 * up yet makes v86 write to guest address 0, and a frame that fills ne2k's ring to the last page makes the ring look
 * empty. So the card's own state is read before each frame. v86 does not document it; where it is not found, everything
 * counts as room, and v86 does what it does.
 */
import { Room } from "./paced-delivery.js";

/** v86's `VirtQueue` (src/virtio.js), as far as it is needed. */
interface VirtQueue {
  /** Addresses, 0 before the driver has set them. */
  readonly desc_addr: number;
  readonly avail_addr: number;
  readonly used_addr: number;
  has_request(): boolean;
}

/** v86's `Ne2k` (src/ne2k.js): registers of the DP8390. Pages are of 256 bytes. */
interface Ne2k {
  readonly cr: number;
  readonly curpg: number;
  readonly boundary: number;
  readonly pstart: number;
  readonly pstop: number;
  /** Interrupt status register. */
  readonly isr: number;
  /** Sets bits of it, and raises the interrupt where the guest has not masked them. */
  do_interrupt?(bits: number): void;
}

/** The way from an emulator to its cards; every step may be missing. */
interface Internals {
  readonly v86?: {
    readonly cpu?: {
      readonly devices?: {
        readonly net?: Ne2k;
        readonly virtio_net?: { readonly virtio?: { readonly queues?: readonly VirtQueue[] } };
      };
    };
  };
}

/** Command register, bit 0: the card is stopped. */
const STOPPED = 1;
/** Interrupt status register, bit 0: a frame has come. */
const FRAME_RECEIVED = 1;
/** The card puts 4 bytes before each frame and pads it to 60. */
const RING_HEADER_BYTES = 4;
const MIN_FRAME_BYTES = 60;

/** See the top of the file. */
export class V86ReceiveRing {
  readonly #emulator: Internals;
  #virtio: VirtQueue | undefined;
  #ne2k: Ne2k | undefined;

  constructor(emulator: object) {
    this.#emulator = emulator;
  }

  /** Which card it is; undefined as long as none is found (the emulator is being loaded, or is of another kind). */
  get nic(): "virtio" | "ne2k" | undefined {
    if (!this.#virtio && !this.#ne2k) this.#find();
    if (this.#virtio) return "virtio";
    return this.#ne2k && "ne2k";
  }

  /** What becomes of a frame of this length. */
  roomFor(length: number): Room {
    switch (this.nic) {
      case "virtio":
        return this.#virtio ? roomInQueue(this.#virtio) : Room.free;
      case "ne2k":
        return this.#ne2k ? roomInRing(this.#ne2k, length) : Room.free;
      case undefined:
        return Room.free;
    }
  }

  /**
   * Linux's driver takes at most nine frames of the ring at an interrupt, and then confirms all that have come. What is left
   * lies there until the next frame comes, which a full ring never takes: so the interrupt is raised once more.
   */
  nudge(): void {
    const card = this.#ne2k;
    if (!card || card.cr & STOPPED || card.isr & FRAME_RECEIVED) return;
    card.do_interrupt?.(FRAME_RECEIVED);
  }

  #find(): void {
    const devices = this.#emulator.v86?.cpu?.devices;
    const queue = devices?.virtio_net?.virtio?.queues?.[0];
    if (typeof queue?.has_request === "function" && typeof queue.desc_addr === "number") {
      this.#virtio = queue;
    } else if (typeof devices?.net?.curpg === "number") {
      this.#ne2k = devices.net;
    }
  }
}

function roomInQueue(queue: VirtQueue): Room {
  if (!queue.desc_addr || !queue.avail_addr || !queue.used_addr) return Room.none;
  return queue.has_request() ? Room.free : Room.full;
}

function roomInRing(card: Ne2k, length: number): Room {
  if (card.cr & STOPPED) return Room.none;
  const neededPages = 1 + ((Math.max(MIN_FRAME_BYTES, length) + RING_HEADER_BYTES) >> 8);
  const pages = card.pstop - card.pstart;
  if (neededPages >= pages) return Room.none;
  const freePages =
    card.boundary > card.curpg ? card.boundary - card.curpg : pages - (card.curpg - card.boundary);
  // One page more than needed: a ring that is full to the last page cannot be told from an empty one.
  return freePages > neededPages ? Room.free : Room.full;
}
