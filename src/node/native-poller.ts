/**
 * The sockets of one host network on the addon: what they share.
 *
 * The addon calls once for all sockets that have become ready. Each is told, and then the turns that were asked for by that are run at
 * once: one turn for the whole batch, and no further round through the event loop.
 *
 * The poller stands for all its sockets where the process is held, and where the network waits for its sockets to end.
 */
import { Errno } from "../host-network.js";
import type { IpEndpoint } from "../address.js";
import { NativeAddresses } from "./native-addresses.js";
import type { NodeLoop, Resource } from "./node-loop.js";
import { MAX_BATCH_EVENTS, SLOT_MASK, type SocketAddon, type SocketCalls } from "./socket-addon.js";

/** A socket that has an id of the addon's. */
export interface NativeSocket {
  readonly id: number;
  /** `events`: an OR of `SocketEvent` bits. */
  onEvents(events: number): void;
  /** Ends in good order. */
  close(): void;
  /** Ends at once, whatever is lost by it. */
  abort(): void;
}

export class NativePoller implements Resource {
  readonly calls: SocketCalls;
  readonly addresses: NativeAddresses;
  readonly loop: NodeLoop;
  readonly #events = new Int32Array(2 * MAX_BATCH_EVENTS);
  /** By the number in an id; the id itself tells a late event from one of the next socket. */
  readonly #sockets: (NativeSocket | undefined)[] = [];
  #count = 0;

  /** Throws an Error with the system's `code`. */
  constructor(addon: SocketAddon, loop: NodeLoop, busyPollUs: number) {
    this.loop = loop;
    this.addresses = new NativeAddresses(addon);
    this.calls = addon.createPoller(this.#events, this.#onEvents, busyPollUs);
  }

  /** Brings the events of `socket.id` to it until `remove`. */
  add(socket: NativeSocket): void {
    const number = socket.id & SLOT_MASK;
    const before = this.#sockets[number];
    this.#sockets[number] = socket;
    if (before) return;
    this.#count += 1;
    if (this.#count > 1) return;
    this.calls.setReferenced(true);
    this.loop.add(this);
  }

  /** The socket of this id is closed. */
  remove(id: number): void {
    const number = id & SLOT_MASK;
    if (this.#sockets[number] === undefined) return;
    this.#sockets[number] = undefined;
    this.#count -= 1;
    if (this.#count > 0) return;
    this.calls.setReferenced(false);
    this.loop.remove(this);
  }

  setRef(hold: boolean): void {
    this.calls.setReferenced(hold && this.#count > 0);
  }

  close(): void {
    for (const socket of this.#sockets) socket?.close();
  }

  abort(): void {
    for (const socket of this.#sockets) socket?.abort();
  }

  /** Where a socket is bound; undefined where that is not to be had. */
  localEndpointOf(id: number): IpEndpoint | undefined {
    const { source } = this.addresses;
    return this.calls.localAddress(id, source) === 0 ? this.addresses.read() : undefined;
  }

  readonly #onEvents = (count: number): void => {
    const events = this.#events;
    this.loop.beginBatch();
    for (let i = 0; i < 2 * count; i += 2) {
      const id = events[i]!;
      const socket = this.#sockets[id & SLOT_MASK];
      if (socket?.id !== id) continue;
      try {
        socket.onEvents(events[i + 1]!);
      } catch (error) {
        // Edges come once: who throws must not keep the others from theirs.
        process.nextTick(() => {
          throw error;
        });
      }
    }
    this.loop.endBatch();
  };
}

/** Whether an answer says that nothing can be opened now, as opposed to something about the address. */
export function isShortage(answer: number): boolean {
  return (
    answer === -Errno.EMFILE ||
    answer === -Errno.ENFILE ||
    answer === -Errno.ENOBUFS ||
    answer === -Errno.ENOMEM
  );
}
