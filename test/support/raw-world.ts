/**
 * A stack between a raw guest and real servers on loopback: what the tests of the stack stand on. One for each test, closed
 * after it; what the guest found wrong in a frame fails the test then.
 */
import { afterEach, expect } from "vitest";
import { createSlirp } from "../../src/node.js";
import { parseHostForward } from "../../src/config/index.js";
import type { NetBackend } from "../../src/backend.js";
import type { Slirp } from "../../src/slirp/slirp.js";
import type { HostForward, SlirpOptions } from "../../src/slirp-options.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { RawGuest, type RawGuestOptions } from "./raw-guest.js";
import { WatchedNetwork, type WatchedNetworkOptions } from "./watched-network.js";

/** What the guest calls the host's loopback. */
export const GATEWAY = { 4: "10.0.2.2", 6: "fec0::2" } as const;
/** What the host calls it. */
export const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;

export interface WorldOptions {
  readonly slirp?: SlirpOptions;
  readonly network?: WatchedNetworkOptions;
  readonly guest?: RawGuestOptions;
  /** What stands between the guest and the stack. Default: nothing. */
  readonly plugIn?: (slirp: Slirp) => NetBackend;
}

/** See the top of the file. */
export interface World {
  readonly slirp: Slirp;
  readonly network: WatchedNetwork;
  readonly guest: RawGuest;
  readonly peers: PeerKit;
  /** What the stack had to say. */
  readonly log: string[];
}

const open: (World & { close(): Promise<void> })[] = [];

/** Makes a stack with a guest. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const network = new WatchedNetwork(options.network);
  const log: string[] = [];
  const slirp = await createSlirp({
    hostNetwork: network,
    onLog: (level, text) => log.push(`${level}: ${text}`),
    ...(options.slirp && { slirp: options.slirp }),
  });
  const guest = new RawGuest(options.plugIn?.(slirp) ?? slirp, options.guest);
  const peers = new PeerKit();
  const close = async (): Promise<void> => {
    await slirp.close();
    await peers.close();
    await network.close();
  };
  const world = { slirp, network, guest, peers, log, close };
  open.push(world);
  return world;
}

/** Ends every world of a test, and fails it where the stack sent something wrong. For `afterEach`. */
export function closeWorldsAfterEach(): void {
  afterEach(async () => {
    const worlds = open.splice(0);
    for (const world of worlds) await world.close();
    for (const { guest } of worlds)
      expect(guest.faults, "faults in the stack's frames").toEqual([]);
  });
}

/** A rule as people write it. */
export function forward(rule: string): HostForward {
  return parseHostForward(rule);
}
