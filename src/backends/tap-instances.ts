/**
 * TAPs by number, as VPP keeps them: each instance has an id, and its interface in the kernel is called after it unless it is named.
 */
import type { BackendStatistics } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { openTapQueues, type OpenTapOptions } from "./tap.js";
import { loadTapAddon } from "./tap-addon.js";
import type { TapBackend } from "./tap-backend.js";
import { findTap, type TapDetails } from "./tap-details.js";
import { withDevicePlace } from "./tap-device-place.js";
import { RouteSocket } from "./tap-netlink.js";
import type { OffloadSwitches } from "./tap-offloads.js";
import type { TapVhostDetails } from "./tap-vhost.js";

/** Ids are 0 to 1023. */
const MAX_INSTANCES = 1024;

/** How an instance is made. `vhost` is `"auto"` unless it says otherwise. */
export interface TapInstanceOptions extends OpenTapOptions {
  /** 0 to 1023. Default: the lowest that is free. */
  readonly id?: number;
}

/** An instance: its backends, one a queue. */
export interface TapInstance {
  /** 0 or more; the interface is `tap` and that number, unless it came from elsewhere. */
  readonly id: number;
  /** At least one. */
  readonly queues: readonly [TapBackend, ...TapBackend[]];
}

/** An instance as it is now. */
export interface TapInstanceDetails extends TapDetails {
  /** As it was made. */
  readonly id: number;
  /** Network namespace, as it was named; undefined: one's own. */
  readonly namespace: string | undefined;
  /** Offloads towards the guest that are not switched off. */
  readonly offloads: Readonly<OffloadSwitches>;
  /** Whether its frames go by vhost-net, and if not, why. */
  readonly vhost: TapVhostDetails;
  /** Of all queues together. */
  readonly statistics: BackendStatistics;
}

interface Entry extends TapInstance {
  readonly namespace: string | undefined;
}

/** What instances have that say nothing else. */
export interface TapInstanceDefaults {
  /** MTU of the interfaces in the kernel, bytes. Default: the kernel's. */
  readonly mtuBytes?: number;
}

/** TAPs that a program makes, lists and deletes by number. */
export class TapInstances {
  readonly #defaults: TapInstanceDefaults;
  readonly #entries = new Map<number, Entry>();
  /** Ids whose making is under way: nobody else may have them. */
  readonly #reserved = new Set<number>();

  constructor(defaults: TapInstanceDefaults = {}) {
    this.#defaults = defaults;
  }

  /** Makes an instance. @throws SlirpError `invalidConfiguration` for an id that is taken or out of range; as `openTapQueues` does */
  async create(options: TapInstanceOptions = {}): Promise<TapInstance> {
    const { id: wanted, ...rest } = options;
    const id = wanted ?? this.#lowestFree();
    this.#check(id);
    this.#reserved.add(id);
    try {
      const comesFromElsewhere = rest.fd ?? rest.fds ?? rest.helper;
      const own = comesFromElsewhere === undefined ? { name: `tap${id}`, ...this.#defaults } : {};
      // As VPP does it: by vhost-net, where there is one.
      const wantsVhost = (rest.vhost ?? rest.vhostFd ?? rest.vhostFds) === undefined;
      const way = wantsVhost ? ({ vhost: "auto" } as const) : {};
      const queues = await openTapQueues({ ...own, ...way, ...rest });
      const { namespace } = rest;
      const entry = { id, queues: queues as [TapBackend, ...TapBackend[]], namespace };
      this.#entries.set(id, entry);
      return entry;
    } finally {
      this.#reserved.delete(id);
    }
  }

  /** All instances, by id. One whose interface is gone is left out. */
  list(): TapInstanceDetails[] {
    return [...this.#entries.values()]
      .sort((a, b) => a.id - b.id)
      .flatMap((entry) => this.#describe(entry) ?? []);
  }

  /** The instance of that id. @throws SlirpError `invalidConfiguration` where there is none */
  get(id: number): TapInstance {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new SlirpError(ErrorCode.invalidConfiguration, `there is no TAP instance ${String(id)}`);
  }

  /** Switches checksum or segmentation offload of an instance, all its queues; what is left out stays. */
  switchOffloads(id: number, switches: Partial<OffloadSwitches>): void {
    for (const { device } of this.get(id).queues) device.switchOffloads(switches);
  }

  /** Closes an instance, whose id is free then. */
  async delete(id: number): Promise<void> {
    const { queues } = this.get(id);
    this.#entries.delete(id);
    await closeAll(queues);
  }

  /** Closes all. */
  async close(): Promise<void> {
    const queues = [...this.#entries.values()].flatMap((entry) => entry.queues);
    this.#entries.clear();
    await closeAll(queues);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #lowestFree(): number {
    for (let id = 0; id < MAX_INSTANCES; id++) if (!this.#isTaken(id)) return id;
    const text = `there are ${MAX_INSTANCES} TAP instances already`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }

  #isTaken(id: number): boolean {
    return this.#entries.has(id) || this.#reserved.has(id);
  }

  #check(id: number): void {
    const remedy = `choose a whole number from 0 to ${MAX_INSTANCES - 1} that is free`;
    if (!Number.isInteger(id) || id < 0 || id >= MAX_INSTANCES) {
      const text = `option id: it is ${String(id)}; ${remedy}`;
      throw new SlirpError(ErrorCode.invalidConfiguration, text);
    }
    if (!this.#isTaken(id)) return;
    const text = `option id: there is an instance ${id} already; ${remedy}`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }

  #describe({ id, queues, namespace }: Entry): TapInstanceDetails | undefined {
    const [first] = queues;
    const addon = loadTapAddon();
    let details: TapDetails;
    try {
      details = withDevicePlace(addon, first.fd, ({ namespaceFd, find }) => {
        using socket = RouteSocket.openAt(addon, namespaceFd);
        return findTap(socket, find(socket).name);
      });
    } catch {
      return undefined;
    }
    const statistics = sumOf(queues.map((queue) => queue.statistics()));
    const offloads = first.device.offloadSwitches;
    return { ...details, id, namespace, offloads, vhost: vhostOf(queues), statistics };
  }
}

async function closeAll(queues: readonly TapBackend[]): Promise<void> {
  const ended = await Promise.allSettled(queues.map((queue) => queue.close()));
  const failure = ended.find((end) => end.status === "rejected");
  if (failure) throw failure.reason;
}

function vhostOf(queues: TapInstance["queues"]): TapVhostDetails {
  const [first, ...others] = queues.map((queue) => queue.vhost);
  return others.reduce(
    (sum, { kicks, calls }) => ({ ...sum, kicks: sum.kicks + kicks, calls: sum.calls + calls }),
    first!,
  );
}

/** Drops in the kernel are the device's, and every queue tells of all of them. */
function sumOf(list: readonly BackendStatistics[]): BackendStatistics {
  const sum = (of: (one: BackendStatistics) => number): number =>
    list.reduce((total, one) => total + of(one), 0);
  return {
    framesFromGuest: sum((one) => one.framesFromGuest),
    framesToGuest: sum((one) => one.framesToGuest),
    bytesFromGuest: sum((one) => one.bytesFromGuest),
    bytesToGuest: sum((one) => one.bytesToGuest),
    droppedFromGuest: sum((one) => one.droppedFromGuest),
    droppedToGuest: Math.max(...list.map((one) => one.droppedToGuest)),
  };
}
