/**
 * What happens to a TAP's interface besides its frames: whether it is up, that it was deleted, and how many frames the kernel dropped on
 * their way to us.
 *
 * It is watched in the namespace that it is in (`tap-device-place.ts`), also after it was moved. The watch never keeps the process alive.
 */
import { PORT_ANSWERS, PortEvent, type FramePort, type TapAddon } from "./tap-addon.js";
import type { TapDescriptor } from "./tap-descriptor.js";
import { withDevicePlace, type DevicePlace } from "./tap-device-place.js";
import { codeOf } from "./tap-errors.js";
import { getLink, LinkMessage, readLink, type Link } from "./tap-link.js";
import { RouteSocket, splitMessages } from "./tap-netlink.js";
import { ReceiveArea } from "./tap-receive.js";

/** What became of the interface. */
export type LinkState = "up" | "down" | "deleted";

/** RTMGRP_LINK. */
const LINK_GROUP = 1;

/** What is open for one namespace. */
interface Place {
  readonly socket: RouteSocket;
  readonly monitor: FramePort;
  readonly index: number;
  /** Drops before the watch was there. */
  readonly dropsBefore: number;
}

/** See the top of the file. */
export class LinkWatch {
  readonly #addon: TapAddon;
  readonly #fd: number;
  readonly #onChange: (state: LinkState) => void;
  #place: Place | undefined;
  #drops = 0;
  #dropsElsewhere = 0;
  #state: LinkState = "down";

  /** Without the right to ask about the interface, nothing is known of it, and no change is told. */
  constructor(addon: TapAddon, { fd }: TapDescriptor, onChange: (state: LinkState) => void) {
    this.#addon = addon;
    this.#fd = fd;
    this.#onChange = onChange;
    this.#settle();
  }

  /** As of the last message of the kernel; `down` where nothing is known. */
  get state(): LinkState {
    return this.#state;
  }

  /** Frames towards us that found no room in the kernel since the watch is there. */
  droppedByKernel(): number {
    this.#refresh();
    return this.#dropsElsewhere + this.#drops;
  }

  /** Whether frames find nobody. Where the interface was down at the last message it is asked for: another may be on its way. */
  isDown(): boolean {
    if (this.#state === "down") this.#refresh();
    return this.#place ? this.#state !== "up" : this.#state === "deleted";
  }

  /** Safe to call again. */
  close(): void {
    this.#place?.monitor.close(false);
    this.#place?.socket.close();
    this.#place = undefined;
  }

  /** Asks for the interface; false where it is not there. */
  #refresh(): boolean {
    if (!this.#place) return false;
    try {
      this.#take(getLink(this.#place.socket, this.#place.index));
      return true;
    } catch {
      // The interface is gone or elsewhere: what was known stands.
      return false;
    }
  }

  #take(link: Link): void {
    if (!this.#place) return;
    this.#drops = Math.max(this.#drops, link.droppedOnSend - this.#place.dropsBefore);
    const state = link.isUp ? "up" : "down";
    if (state === this.#state) return;
    this.#state = state;
    this.#onChange(state);
  }

  /** Begins to watch in the namespace that the interface is in now. */
  #settle(): void {
    try {
      withDevicePlace(this.#addon, this.#fd, (place) => {
        this.#watchAt(place);
      });
    } catch {
      // It is not for us to know.
    }
  }

  #watchAt({ namespaceFd, find }: DevicePlace): void {
    const socket = RouteSocket.openAt(this.#addon, namespaceFd);
    let monitor: FramePort | undefined;
    try {
      monitor = this.#openMonitor(this.#addon.openNetlink(namespaceFd, LINK_GROUP));
      const link = find(socket);
      this.#place = { socket, monitor, index: link.index, dropsBefore: link.droppedOnSend };
      this.#state = link.isUp ? "up" : "down";
    } catch (error) {
      monitor?.close(false);
      socket.close();
      throw error;
    }
  }

  #openMonitor(fd: number): FramePort {
    const area = ReceiveArea.forMessages();
    const { bytes, offsets, lengths } = area;
    const answers = new Uint32Array(PORT_ANSWERS);
    const onEvent = (event: number, value: number): void => {
      if (event === PortEvent.frames) {
        for (let i = 0; i < value; i++) this.#read(area.frame(i));
      } else if (event === PortEvent.failed) this.#catchUp(area);
    };
    let monitor: FramePort;
    try {
      monitor = new this.#addon.FramePort(fd, false, bytes, offsets, lengths, answers, onEvent);
    } catch (error) {
      this.#addon.closeDescriptor(fd);
      throw error;
    }
    monitor.setReferenced(false);
    monitor.setReading(true);
    return monitor;
  }

  /** Messages were lost because there were too many. Those that were kept are older than what is asked for then, so they come first. */
  #catchUp(area: ReceiveArea): void {
    const place = this.#place;
    while (place && this.#place === place && this.#readKept(place.monitor, area)) continue;
    // Moved, or deleted: so one of the messages said.
    if (!place || this.#place !== place) return;
    if (this.#refresh()) place.monitor.setReading(true);
    else this.#onDeleted();
  }

  /** Reads messages that wait; false where there are none. */
  #readKept(monitor: FramePort, area: ReceiveArea): boolean {
    let count: number;
    try {
      count = monitor.readNow(area.bytes, area.offsets, area.lengths);
    } catch (error) {
      return codeOf(error) === "ENOBUFS";
    }
    for (let i = 0; i < count; i++) this.#read(area.frame(i));
    return count > 0;
  }

  #read(message: Uint8Array): void {
    for (const { type, body } of splitMessages(message)) {
      // A bridge speaks of its ports in messages of its own family.
      if (!this.#place || body.length < 16 || body[0] !== 0) continue;
      const link = readLink(body);
      if (link.index !== this.#place.index) continue;
      if (type === LinkMessage.added) this.#take(link);
      else if (type === LinkMessage.deleted) this.#onDeleted();
    }
  }

  /** The interface is not here any more; it may have been moved to another namespace. */
  #onDeleted(): void {
    this.close();
    this.#dropsElsewhere += this.#drops;
    this.#drops = 0;
    try {
      this.#addon.getInterface(this.#fd);
    } catch (error) {
      if (codeOf(error) !== "EBADFD") return;
      this.#state = "deleted";
      this.#onChange("deleted");
      return;
    }
    const before = this.#state;
    this.#settle();
    if (this.#state !== before) this.#onChange(this.#state);
  }
}
