/**
 * The side of v86 that a NIC sees: events, a bus and, where a card is asked for, the state of that card. The test is the
 * guest.
 */

/** The card inside. Without one, v86's inside is not to be found. */
export interface FakeCard {
  readonly nic: "virtio" | "ne2k";
  /** Frames that it takes before the guest drains it (frames below 252 bytes). */
  readonly capacity: number;
  /** The guest has not set it up. */
  readonly off?: boolean;
}

/** See the top of the file. */
export class FakeEmulator {
  /** What was handed to the card, copied. */
  readonly received: Uint8Array[] = [];
  /** Frames that came although the card was full. */
  overruns = 0;
  readonly v86: object | undefined;
  readonly #listeners = new Set<(frame: Uint8Array) => void>();
  readonly #card: FakeCard | undefined;
  #used = 0;

  readonly bus = {
    send: (event: string, value: unknown): void => {
      if (event !== "net0-receive" || !(value instanceof Uint8Array)) throw new Error(event);
      if (this.#card && this.#used >= this.#card.capacity) this.overruns++;
      this.#used++;
      this.received.push(value.slice());
    },
  };

  constructor(card?: FakeCard) {
    this.#card = card;
    if (card) this.v86 = { cpu: { devices: this.#devices(card) } };
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  add_listener(_event: "net0-send", listener: (frame: Uint8Array) => void): void {
    this.#listeners.add(listener);
  }

  remove_listener(_event: "net0-send", listener: (frame: Uint8Array) => void): void {
    this.#listeners.delete(listener);
  }

  /** The guest sends. The memory is v86's own and is reused after the call. */
  sendFromGuest(frame: Uint8Array): void {
    for (const listener of [...this.#listeners]) listener(frame);
  }

  /** The guest takes all frames out of the card. */
  drain(): void {
    this.#used = 0;
  }

  #devices(card: FakeCard): object {
    if (card.nic === "virtio") {
      const address = card.off ? 0 : 4096;
      const queue = {
        desc_addr: address,
        avail_addr: address,
        used_addr: address,
        has_request: () => this.#used < card.capacity,
      };
      return { virtio_net: { virtio: { queues: [queue] } } };
    }
    const used = (): number => this.#used;
    // As Linux sets it up: the boundary is the page before the next one to be read.
    const pages = card.capacity + 2;
    return {
      net: {
        cr: card.off ? 1 : 2,
        pstart: 76,
        pstop: 76 + pages,
        boundary: 76,
        get curpg(): number {
          return 76 + ((1 + used()) % pages);
        },
      },
    };
  }
}
