/**
 * vhost-net for the queues of a TAP: whether it is wanted, where its descriptors come from, and what to say where there is none.
 *
 * Each queue has a descriptor of /dev/vhost-net of its own. All queues of a device go by vhost-net or none does: the header before frames
 * is the device's, and vhost-net wants it to have 12 bytes.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapOptions } from "../tap-options.js";
import type { TapAddon } from "./tap-addon.js";
import { codeOf, deviceError } from "./tap-errors.js";

/** Header of the TAP's frames: num_buffers is vhost-net's own. */
export const VHOST_HEADER_BYTES = 12;

const DEFAULT_PATH = "/dev/vhost-net";

/** What a queue is given to go by vhost-net. */
export interface VhostQueue {
  /** Of the device's file; the queue's from then on. */
  readonly fd: number;
  readonly busyPollUs: number;
}

/** How frames of a queue go, or of all queues of an instance. */
export interface TapVhostDetails {
  /** Whether they go by vhost-net's rings; else each is a system call. */
  readonly isUsed: boolean;
  /** Why not; undefined where they do. */
  readonly reason: string | undefined;
  /** System calls that woke the kernel, to take frames or to bring some, since the queue was opened. */
  readonly kicks: number;
  /** How often the kernel woke us. */
  readonly calls: number;
}

/** Queues for vhost-net, or why there are none. */
export interface VhostPlan {
  readonly queues: readonly VhostQueue[] | undefined;
  readonly reason: string;
  /** Closes what is nobody else's, once: for when no backend has it. */
  readonly giveBack: () => void;
}

/** Frames go without. */
export function withoutVhost(reason: string): VhostPlan {
  return { queues: undefined, reason, giveBack: () => undefined };
}

/** Whether vhost-net must be used, may be, or is not. As in QEMU, who brings descriptors of it wants it. */
export function readVhostMode({ vhost, vhostFd, vhostFds }: TapOptions): boolean | "auto" {
  return vhost ?? (vhostFd ?? vhostFds) !== undefined;
}

/**
 * Comes by descriptors for that many queues.
 * @throws SlirpError `deviceFailed` where it must be used and cannot
 */
export function planVhost(addon: TapAddon, options: TapOptions, count: number): VhostPlan {
  const mode = readVhostMode(options);
  if (mode === false) return withoutVhost("the option vhost is off");
  const busyPollUs = options.vhostBusyPollUs ?? 0;
  const given = options.vhostFds ?? (options.vhostFd === undefined ? undefined : [options.vhostFd]);
  try {
    const fds = given?.map((fd) => adopt(addon, fd)) ?? openAll(addon, options, count);
    const queues = fds.map((fd) => ({ fd, busyPollUs }));
    const giveBack = (): void => {
      if (!given) for (const fd of fds.splice(0)) addon.closeDescriptor(fd);
    };
    return { queues, reason: "", giveBack };
  } catch (error) {
    if (mode === true || !(error instanceof SlirpError)) throw error;
    return withoutVhost(error.message);
  }
}

function adopt(addon: TapAddon, fd: number): number {
  try {
    return addon.prepareDescriptor(fd);
  } catch (cause) {
    throw vhostError(`the descriptor ${fd} cannot be used for vhost-net`, cause);
  }
}

function openAll(
  addon: TapAddon,
  { vhostPath = DEFAULT_PATH }: TapOptions,
  count: number,
): number[] {
  const fds: number[] = [];
  try {
    while (fds.length < count) fds.push(addon.openTun(vhostPath, -1));
    return fds;
  } catch (cause) {
    for (const fd of fds) addon.closeDescriptor(fd);
    throw vhostError(`the device file ${JSON.stringify(vhostPath)} cannot be opened`, cause);
  }
}

const LOAD = "load the kernel's module by `modprobe vhost_net`";

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: `it is not there: ${LOAD}`,
  ENODEV: `the kernel has no vhost-net: ${LOAD}`,
  ENXIO: `the kernel has no vhost-net: ${LOAD}`,
  EACCES: "it is for others: run as root, or as a member of the group that the file belongs to",
  EPERM: "it is for others: run as root, or as a member of the group that the file belongs to",
  ENOTTY: "this is not vhost-net: name /dev/vhost-net, or a descriptor of it",
  EINVAL: "this is not vhost-net: name /dev/vhost-net, or a descriptor of it",
  EBADF: "the descriptor is not open",
  EBUSY: "the descriptor is in use: open /dev/vhost-net anew for each queue",
  ENOTSUP: "the kernel's vhost-net is too old (Linux 4.0 has what is needed)",
};

/** What was wrong with vhost-net, and what helps. */
export function vhostError(what: string, cause: unknown): SlirpError {
  return deviceError(what, cause, REMEDIES[codeOf(cause)]);
}

/** What can be said at once of options for vhost-net. @throws SlirpError `invalidConfiguration` */
export function checkVhostOptions(options: TapOptions, queues: number): void {
  const { vhostFd, vhostFds, vhostPath, vhostBusyPollUs } = options;
  const refuse = (place: string, problem: string, remedy: string): never => {
    const text = `option ${place}: ${problem}; ${remedy}`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  };
  const vhost: unknown = options.vhost ?? "auto";
  if (vhost !== "auto" && typeof vhost !== "boolean") {
    refuse("vhost", `it is ${JSON.stringify(vhost)}`, 'choose true, false or "auto"');
  }
  if (vhostFd !== undefined && vhostFds !== undefined) {
    refuse("vhostFd", "it says again, or otherwise, what vhostFds brings along", "leave one out");
  }
  // As QEMU: a list of these goes with a list of queues, a single one with what is no list.
  if (vhostFds !== undefined && options.fds === undefined) {
    refuse("vhostFds", "it is there without fds", "add fds, or give vhostFd for a single queue");
  }
  if (vhostFd !== undefined && options.fds !== undefined) {
    refuse("vhostFd", "it is for a single queue, and there is fds", "give vhostFds");
  }
  const given = vhostFds?.length ?? (vhostFd === undefined ? undefined : 1);
  if (given !== undefined && vhostPath !== undefined) {
    refuse("vhostPath", "it says how to open what is given by descriptor", "leave one out");
  }
  const isOff = readVhostMode(options) === false;
  for (const [name, value] of Object.entries({ vhostFd, vhostFds, vhostPath, vhostBusyPollUs })) {
    if (isOff && value !== undefined)
      refuse(name, "it is for vhost-net, which is off", "set vhost");
  }
  if (given !== undefined && given !== queues) {
    const place = vhostFds ? "vhostFds" : "vhostFd";
    refuse(place, `there are ${given} for ${queues} queues`, "give one for each queue");
  }
  const twice = vhostFds?.find((fd, i) => vhostFds.indexOf(fd) !== i);
  if (twice !== undefined) refuse("vhostFds", `${twice} is there twice`, "give each queue its own");
}
