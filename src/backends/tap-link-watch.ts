/**
 * What happens to a TAP's interface besides its frames: for now, how many the kernel dropped on their way to us.
 *
 * A descriptor from elsewhere may be attached to an interface of another network namespace; the kernel tells which one.
 */
import { closeSync } from "node:fs";
import type { TapAddon } from "./tap-addon.js";
import type { TapDescriptor } from "./tap-device.js";
import { findLink, getLink } from "./tap-link.js";
import { RouteSocket } from "./tap-netlink.js";

/** See the top of the file. */
export class LinkWatch {
  readonly #socket: RouteSocket | undefined;
  readonly #index: number;
  /** Drops before the backend was there, and the last number that was read. */
  readonly #before: number;
  #last: number;

  private constructor(socket: RouteSocket | undefined, index: number, drops: number) {
    this.#socket = socket;
    this.#index = index;
    this.#before = drops;
    this.#last = drops;
  }

  /** Without the right to ask about the interface, nothing is known of it: all answers are 0 then. */
  static of(addon: TapAddon, { fd, name }: TapDescriptor): LinkWatch {
    let socket: RouteSocket | undefined;
    try {
      socket = openSocketOf(addon, fd);
      const link = findLink(socket, name);
      return new LinkWatch(socket, link.index, link.droppedOnSend);
    } catch {
      socket?.close();
      return new LinkWatch(undefined, 0, 0);
    }
  }

  /** Frames towards us that found no room in the kernel since the backend was opened. */
  droppedByKernel(): number {
    if (this.#socket) {
      try {
        this.#last = getLink(this.#socket, this.#index).droppedOnSend;
      } catch {
        // The interface is gone or elsewhere: the last number stands.
      }
    }
    return Math.max(0, this.#last - this.#before);
  }

  /** Safe to call again. */
  close(): void {
    this.#socket?.close();
  }
}

/** A socket in the namespace that the device is in; where the kernel does not tell, in our own. */
function openSocketOf(addon: TapAddon, fd: number): RouteSocket {
  let namespaceFd: number;
  try {
    namespaceFd = addon.getDeviceNamespace(fd);
  } catch {
    return RouteSocket.openAt(addon, -1);
  }
  try {
    return RouteSocket.openAt(addon, namespaceFd);
  } finally {
    closeSync(namespaceFd);
  }
}
