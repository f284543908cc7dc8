/**
 * Which backend a guest gets that comes to a server: one of its own, or a port on one that all share.
 *
 * Own backends outlive connections. A guest that loses its connection and comes back (QEMU's `reconnect`, or QEMU started
 * anew) finds its backend as it left it: connections, forwards, lease. Who comes back is told by the MAC address, which is
 * not known before its first frame; until then a guest gets the backend that has been free longest, so that forwards reach
 * a guest that is silent. If its first frame shows another address than that backend has served, it is given the right
 * one. A backend waits for its guest as long as no other guest needs the place: where a new address finds only backends of
 * others free, the one free longest is closed (its forwards' ports are freed) and a fresh one opened. So there are never
 * more backends than there were guests at once.
 */
import type { NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { FrameSwitch, type FrameSwitchOptions } from "../frames/frame-switch.js";

/** Gives backends to guests and takes them back. */
export interface BackendSource {
  /** For a guest that just came. May reject: the guest is then turned away. */
  take(): Promise<NetBackend>;
  /**
   * The guest's address is known now: answers the backend that it is to go on with, the same one mostly. A rejection turns the
   * guest away; the backend that it had is given back then. Not there: any backend will do.
   */
  identify?(backend: NetBackend, mac: string): Promise<NetBackend>;
  /** The guest is gone. `failed`: the backend has ended by itself and is of no use any more. */
  release(backend: NetBackend, failed: boolean): void;
  /** Closes what the source opened itself. */
  close(): Promise<void>;
}

interface Place {
  readonly backend: NetBackend;
  /** The guest that it has served; undefined as long as no frame has come. */
  mac: string | undefined;
  inUse: boolean;
}

/** A backend for each guest, see the top of the file. */
export class OwnBackends implements BackendSource {
  readonly #open: () => Promise<NetBackend>;
  /** In order of being free: the first has been so longest. */
  readonly #places = new Set<Place>();
  /** Backends that are being closed, and errors of that. */
  readonly #closing = new Set<Promise<void>>();
  #closed = false;

  /** `open` makes a backend, with the same forwards each time: those of a second one may be refused, and it with them. */
  constructor(open: () => Promise<NetBackend>) {
    this.#open = open;
  }

  /** Opens the first guest's backend ahead, so that what cannot work is known at once and forwards listen. */
  async prepare(): Promise<NetBackend> {
    const place = await this.#openPlace();
    place.inUse = false;
    return place.backend;
  }

  async take(): Promise<NetBackend> {
    const free = this.#findFree(() => true);
    if (!free) return (await this.#openPlace()).backend;
    free.inUse = true;
    return free.backend;
  }

  async identify(backend: NetBackend, mac: string): Promise<NetBackend> {
    const place = this.#placeOf(backend);
    if (!place) return backend;
    place.mac ??= mac;
    if (place.mac === mac) return backend;
    this.release(backend, false);
    const fitting =
      this.#findFree((free) => free.mac === mac) ??
      this.#findFree((free) => free.mac === undefined) ??
      (await this.#replaceLongestFree());
    fitting.mac = mac;
    fitting.inUse = true;
    return fitting.backend;
  }

  release(backend: NetBackend, failed: boolean): void {
    const place = this.#placeOf(backend);
    if (!place) return;
    this.#places.delete(place);
    place.inUse = false;
    if (failed || this.#closed) this.#close(backend);
    else this.#places.add(place);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { backend } of this.#places) this.#close(backend);
    this.#places.clear();
    await Promise.all(this.#closing);
  }

  async #replaceLongestFree(): Promise<Place> {
    const victim = this.#findFree(() => true);
    if (victim) {
      this.#places.delete(victim);
      // Its ports must be free before the fresh one asks for the same.
      await victim.backend.close();
    }
    return this.#openPlace();
  }

  async #openPlace(): Promise<Place> {
    if (this.#closed) throw new SlirpError(ErrorCode.closed, "the backends of guests are closed");
    const place: Place = { backend: await this.#open(), mac: undefined, inUse: true };
    this.#places.add(place);
    // Closed while it was being opened.
    if (this.#closed) this.release(place.backend, true);
    return place;
  }

  #close(backend: NetBackend): void {
    const closing = backend.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #findFree(fits: (place: Place) => boolean): Place | undefined {
    for (const place of this.#places) if (!place.inUse && fits(place)) return place;
    return undefined;
  }

  #placeOf(backend: NetBackend): Place | undefined {
    for (const place of this.#places) if (place.backend === backend) return place;
    return undefined;
  }
}

/** One backend for all guests: each gets a port of a switch. The backend stays its owner's. */
export class SharedBackend implements BackendSource {
  readonly #bridge: FrameSwitch;
  #guests = 0;

  constructor(backend: NetBackend, options?: FrameSwitchOptions) {
    this.#bridge = new FrameSwitch(backend, options);
  }

  take(): Promise<NetBackend> {
    this.#guests++;
    return Promise.resolve(this.#bridge.openPort(`guest-${String(this.#guests)}`));
  }

  release(port: NetBackend, _failed: boolean): void {
    void port.close();
  }

  close(): Promise<void> {
    return this.#bridge.close();
  }
}
