/**
 * Opens TAP backends: by name, on descriptors that somebody else opened, or by a helper.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapOptions } from "../tap-options.js";
import { loadTapAddon, TunFlag, type TapAddon } from "./tap-addon.js";
import { TapBackend } from "./tap-backend.js";
import { configureLink } from "./tap-configure.js";
import {
  adoptTapDescriptor,
  openTapDescriptor,
  type TapDescriptor,
  type TapDeviceOptions,
} from "./tap-descriptor.js";
import type { TapDevice } from "./tap-device.js";
import { openByHelper } from "./tap-helper.js";
import { isEmptySettings, readLinkOptions, type LinkSettings } from "./tap-link-options.js";
import { RouteSocket } from "./tap-netlink.js";
import { checkTapOptions } from "./tap-option-checks.js";
import { SharedOffloads } from "./tap-shared-offloads.js";
import { DownScript, isScript, runScript } from "./tap-script.js";
import { planVhost, readVhostMode, withoutVhost, type VhostPlan } from "./tap-vhost.js";

/** How opening is ended, beside the options. */
export interface OpenTapOptions extends TapOptions {
  /** Ends the opening: nothing stays open. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a TAP with a single queue. Receiving is off, and a new interface is down, unless the options say otherwise.
 * @throws SlirpError `addonUnavailable`, `invalidConfiguration`, `deviceFailed`, `unsupportedCapability`; the signal's reason
 */
export async function openTap(options: OpenTapOptions = {}): Promise<TapBackend> {
  checkTapOptions(options);
  const queues = options.fds?.length ?? options.queues ?? 1;
  if (queues !== 1) {
    const text = `there are ${queues} queues, each of which is a backend; open them by openTapQueues`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  const [tap] = await openTapQueues(options);
  return tap!;
}

/**
 * Opens all queues of a TAP, a backend each. The kernel gives a flow's frames to the queue that the flow came from, else by a hash. Header
 * and offloads are the device's: set the same capabilities on all of them. The kernel leaves undone what all that are enabled have agreed on.
 * @throws as {@link openTap}
 */
export async function openTapQueues(options: OpenTapOptions = {}): Promise<TapBackend[]> {
  options.signal?.throwIfAborted();
  checkTapOptions(options);
  const settings = readLinkOptions(options);
  const addon = loadTapAddon();
  const given = options.fds ?? (options.fd === undefined ? undefined : [options.fd]);
  if (given) {
    const descriptors = given.map((fd) => adoptTapDescriptor(addon, fd));
    checkAlike(descriptors);
    return setUp(addon, descriptors, { options, settings: undefined, areOurs: false });
  }
  if (options.helper !== undefined) {
    const descriptors = [await openHelped(addon, options.helper, options)];
    return setUp(addon, descriptors, { options, settings: undefined, areOurs: true });
  }
  const descriptors = openQueues(addon, options, options.queues ?? 1);
  return setUp(addon, descriptors, { options, settings, areOurs: true });
}

async function openHelped(
  addon: TapAddon,
  helper: string | true,
  { bridge, signal }: OpenTapOptions,
): Promise<TapDescriptor> {
  const fd = await openByHelper(addon, { helper, bridge, signal });
  try {
    return adoptTapDescriptor(addon, fd);
  } catch (error) {
    addon.closeDescriptor(fd);
    throw error;
  }
}

/** The first queue's name is what the kernel made of it; the others attach to that. */
function openQueues(addon: TapAddon, options: TapOptions, count: number): TapDescriptor[] {
  const common: TapDeviceOptions = { ...options, multiQueue: count > 1 };
  const descriptors = [openTapDescriptor(addon, common)];
  try {
    const [{ name }] = descriptors as [TapDescriptor];
    while (descriptors.length < count) {
      descriptors.push(openTapDescriptor(addon, { ...common, name, exclusive: false }));
    }
    return descriptors;
  } catch (error) {
    for (const { fd } of descriptors) addon.closeDescriptor(fd);
    throw error;
  }
}

/** Queues of one device: all with the header or all without. */
function checkAlike(descriptors: readonly TapDescriptor[]): void {
  const [first, ...others] = descriptors;
  for (const other of others) {
    if (other.name !== first?.name) {
      const text = `option fds: ${String(other.fd)} is attached to ${other.name}, ${String(first?.fd)} to ${String(first?.name)}; give queues of one device`;
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
    if ((other.flags & TunFlag.header) !== (first.flags & TunFlag.header)) {
      const text = `option fds: ${String(other.fd)} and ${String(first.fd)} do not agree on virtio-net headers; open all with or all without`;
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
  }
}

interface SetUp {
  readonly options: OpenTapOptions;
  /** What the interface is given; undefined where it is none of our business. */
  readonly settings: LinkSettings | undefined;
  /** Whether descriptors are closed when something fails; else they are the caller's. */
  readonly areOurs: boolean;
}

/** Makes backends of descriptors. Whatever fails, nothing of it stays. */
async function setUp(
  addon: TapAddon,
  descriptors: readonly TapDescriptor[],
  { options, settings, areOurs }: SetUp,
): Promise<TapBackend[]> {
  const { name } = descriptors[0]!;
  const undo: (() => unknown)[] = [];
  let socket: RouteSocket | undefined;
  try {
    if (areOurs) undo.push(() => descriptors.forEach(({ fd }) => addon.closeDescriptor(fd)));
    if (settings && !isEmptySettings(settings)) {
      socket = RouteSocket.open(addon, options.namespace);
      undo.push(configureLink(socket, name, settings));
    }
    const down = await runUpScript(name, options);
    if (down) undo.push(() => down.run());
    options.signal?.throwIfAborted();
    const plan = planVhost(addon, options, descriptors.length);
    undo.push(plan.giveBack);
    const isRequired = readVhostMode(options) === true;
    const backends = makeBackends(addon, descriptors, { plan, down, isRequired });
    undo.push(() => backends.forEach((backend) => backend.abandon()));
    for (const { device } of backends) device.setSendBuffer(options.sendBufferBytes);
    applyOwnership(backends[0]!.device, options);
    down?.arm();
    return backends;
  } catch (error) {
    throw await undoAll(undo, error);
  } finally {
    socket?.close();
  }
}

/** The last first. Answers the error, with what else went wrong behind it. */
async function undoAll(steps: readonly (() => unknown)[], error: unknown): Promise<unknown> {
  let failure = error;
  for (const step of [...steps].reverse()) {
    try {
      await step();
    } catch (also) {
      if (!(failure instanceof SlirpError) || !(also instanceof SlirpError)) continue;
      const text = `${failure.message}; and ${also.message}`;
      failure = new SlirpError(failure.code, text, { cause: failure.cause });
    }
  }
  return failure;
}

/** Answers the script for the interface's end, which is owed from then on. */
async function runUpScript(
  name: string,
  { upScript, downScript }: TapOptions,
): Promise<DownScript | undefined> {
  if (isScript(upScript)) await runScript(upScript, name);
  return isScript(downScript) ? new DownScript(downScript, name) : undefined;
}

/** Backends on vhost-net where that is planned, or else, where it is not required, without. */
function makeBackends(
  addon: TapAddon,
  descriptors: readonly TapDescriptor[],
  {
    plan,
    down,
    isRequired,
  }: { plan: VhostPlan; down?: DownScript | undefined; isRequired: boolean },
): TapBackend[] {
  const made: TapBackend[] = [];
  const offloads = new SharedOffloads(addon);
  try {
    for (const [i, descriptor] of descriptors.entries()) {
      // Only the first queue has to do with scripts.
      const downScript = i === 0 ? down : undefined;
      const vhost = plan.queues?.[i] ?? plan.reason;
      made.push(new TapBackend(addon, descriptor, { downScript, vhost, offloads }));
    }
    return made;
  } catch (error) {
    for (const backend of made) backend.abandon();
    if (!plan.queues || isRequired || !(error instanceof SlirpError)) throw error;
    plan.giveBack();
    return makeBackends(addon, descriptors, {
      plan: withoutVhost(error.message),
      down,
      isRequired,
    });
  }
}

/** Whether it stays comes last: nothing may fail after it. */
function applyOwnership(device: TapDevice, { owner, group, persistent }: TapOptions): void {
  if (owner !== undefined) device.setOwner(owner);
  if (group !== undefined) device.setGroup(group);
  if (persistent !== undefined) device.setPersistent(persistent);
}
