/**
 * Where the interface of a descriptor is: it may be in another network namespace than the process, or be moved to one later.
 *
 * The kernel tells which one only to who administers that. Others look in their own, where another interface may have its name: it is the
 * one that is meant only with its MAC address, which the kernel tells everybody who has the descriptor.
 */
import type { TapAddon } from "./tap-addon.js";
import { findLink, type Link } from "./tap-link.js";
import type { RouteSocket } from "./tap-netlink.js";

/** A namespace in which the interface is looked for. */
export interface DevicePlace {
  /** Its descriptor, open for the time being; -1 for one's own. */
  readonly namespaceFd: number;
  /** The interface. @throws Error where it is not there */
  readonly find: (socket: RouteSocket) => Link;
}

/** Does something in the namespace that the device is in; where the kernel does not tell, in one's own. */
export function withDevicePlace<T>(addon: TapAddon, fd: number, use: (place: DevicePlace) => T): T {
  let namespaceFd = -1;
  try {
    namespaceFd = addon.getDeviceNamespace(fd);
  } catch {
    // Only who administers that namespace is told.
  }
  const find = (socket: RouteSocket): Link => {
    const link = findLink(socket, addon.getInterface(fd).name);
    if (namespaceFd < 0) assertSameMac(link, addon.getHardwareAddress(fd));
    return link;
  };
  try {
    return use({ namespaceFd, find });
  } finally {
    if (namespaceFd >= 0) addon.closeDescriptor(namespaceFd);
  }
}

function assertSameMac({ name, mac }: Link, wanted: Uint8Array): void {
  if (mac.length === wanted.length && mac.every((byte, i) => byte === wanted[i])) return;
  throw new Error(`${name} is another interface of that name`);
}
