/**
 * Comes by descriptors of TAP devices: opens them by name, or takes over what was opened elsewhere.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapOptions } from "../tap-options.js";
import { TunFlag, TunRequest, type TapAddon } from "./tap-addon.js";
import { hasPacketInformation } from "./tap-details.js";
import { deviceError } from "./tap-errors.js";
import { withNamespace } from "./tap-namespace.js";
import { RouteSocket } from "./tap-netlink.js";

/** How a device is opened by name. */
export type TapDeviceOptions = Pick<
  TapOptions,
  "name" | "namespace" | "devicePath" | "vnetHeader" | "exclusive"
> & {
  /** One of several queues of the device: all that attach to it must say so. Default false. */
  readonly multiQueue?: boolean;
};

/** A descriptor that is attached to an interface. */
export interface TapDescriptor {
  readonly fd: number;
  readonly name: string;
  /** Of `TunFlag`. */
  readonly flags: number;
}

/** Longest name of an interface, bytes: IFNAMSIZ of Linux is 16 with its ending zero. */
const MAX_NAME_BYTES = 15;

/** @throws SlirpError `invalidConfiguration` for what the kernel would refuse, or cut short in silence */
function checkInterfaceName(name: string): void {
  const bytes = new TextEncoder().encode(name).length;
  const quoted = JSON.stringify(name);
  let problem: string | undefined;
  if (name === "") problem = "is empty";
  else if (bytes > MAX_NAME_BYTES) problem = `has ${bytes} bytes`;
  else if (name === "." || name === ".." || /[/:\s\p{Cc}]/u.test(name)) {
    problem = 'has a character that no interface can have ("/", ":", a space)';
  } else if (/%/.test(name.replace("%d", ""))) problem = 'has a "%" that is not one "%d"';
  if (problem === undefined) return;
  const remedy = `write 1 to ${MAX_NAME_BYTES} bytes such as "tap0", or "tap%d" for the first free number`;
  throw new SlirpError(
    ErrorCode.invalidConfiguration,
    `the interface name ${quoted} ${problem}; ${remedy}`,
  );
}

/**
 * Opens a device by name. The descriptor is the caller's.
 * @throws SlirpError `invalidConfiguration`, `deviceFailed`, `unsupportedCapability`; nothing stays open then
 */
export function openTapDescriptor(addon: TapAddon, options: TapDeviceOptions = {}): TapDescriptor {
  const { name = "tap%d", devicePath = "/dev/net/tun" } = options;
  checkInterfaceName(name);
  return withNamespace(options.namespace, (namespaceFd) => {
    let fd = -1;
    try {
      fd = addon.openTun(devicePath, namespaceFd);
      return attach(addon, fd, name, options);
    } catch (cause) {
      if (fd >= 0) addon.closeDescriptor(fd);
      const isOurs =
        cause instanceof SlirpError || (cause as { syscall?: unknown }).syscall === "setns";
      throw isOurs ? cause : deviceError(`the TAP ${JSON.stringify(name)} cannot be opened`, cause);
    }
  });
}

function attach(
  addon: TapAddon,
  fd: number,
  name: string,
  { vnetHeader = "auto", multiQueue = false, exclusive = false }: TapDeviceOptions,
): TapDescriptor {
  const features = addon.control(fd, TunRequest.getFeatures, 0);
  if (vnetHeader === true) requireFeature(features, TunFlag.header, "virtio-net headers");
  if (multiQueue) requireFeature(features, TunFlag.multiQueue, "several queues");
  let flags = TunFlag.tap | TunFlag.noPacketInformation;
  if (vnetHeader !== false) flags |= features & TunFlag.header;
  if (multiQueue) flags |= TunFlag.multiQueue;
  if (exclusive) flags |= TunFlag.exclusive;
  const given = addon.setInterface(fd, name, flags);
  return { fd, name: given, flags };
}

function requireFeature(features: number, flag: number, what: string): void {
  if ((features & flag) !== 0) return;
  const text = `the kernel's TAP devices have no ${what}`;
  throw new SlirpError(ErrorCode.unsupportedCapability, text);
}

/**
 * Takes over a descriptor that came from elsewhere, after a look at what it is. It stays the caller's until this returns.
 * @throws SlirpError `deviceFailed` for what is no TAP, or is one with a protocol field before its frames
 */
export function adoptTapDescriptor(addon: TapAddon, fd: number): TapDescriptor {
  const what = `the descriptor ${fd} cannot be used as a TAP`;
  if (!Number.isInteger(fd) || fd < 0) {
    throw new SlirpError(ErrorCode.invalidConfiguration, `${what}: it is no descriptor's number`);
  }
  try {
    const { name, flags } = addon.getInterface(fd);
    if ((flags & TunFlag.tap) === 0) {
      const text = `${what}: it is a TUN device, which has no Ethernet headers`;
      throw new SlirpError(ErrorCode.deviceFailed, text);
    }
    if (putsPacketInformation(addon, fd, { name, flags })) {
      const text = `${what}: it puts 4 bytes before each frame; make it with IFF_NO_PI`;
      throw new SlirpError(ErrorCode.deviceFailed, text);
    }
    addon.prepareDescriptor(fd);
    return { fd, name, flags };
  } catch (cause) {
    throw cause instanceof SlirpError ? cause : deviceError(what, cause);
  }
}

/**
 * Where the kernel's flag is not set it is so. Where it is set it may say instead that no socket filter is attached (IFF_NOFILTER has the
 * number of IFF_NO_PI): then netlink knows, for who may ask it.
 */
function putsPacketInformation(
  addon: TapAddon,
  fd: number,
  { name, flags }: { name: string; flags: number },
): boolean {
  if ((flags & TunFlag.noPacketInformation) === 0) return true;
  let namespaceFd = -1;
  try {
    namespaceFd = addon.getDeviceNamespace(fd);
    using socket = RouteSocket.openAt(addon, namespaceFd);
    return hasPacketInformation(socket, name);
  } catch {
    return false;
  } finally {
    if (namespaceFd >= 0) addon.closeDescriptor(namespaceFd);
  }
}

/** Descriptors of open backends: two that close the same one would close somebody else's. */
const claimed = new Set<number>();

/** @throws SlirpError `deviceFailed` where another backend has it */
export function claimDescriptor(fd: number): void {
  if (claimed.has(fd)) {
    const text = `the descriptor ${fd} is another TAP backend's; open it once, or release it there before`;
    throw new SlirpError(ErrorCode.deviceFailed, text);
  }
  claimed.add(fd);
}

/** It is nobody's any more. */
export function unclaimDescriptor(fd: number): void {
  claimed.delete(fd);
}
