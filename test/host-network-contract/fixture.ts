/**
 * What an implementation of `HostNetwork` gives to the contract's suite.
 *
 * An implementation need not be able to do everything that sockets can: a relay may know no half-close, a page cannot
 * listen. It says so here, with the reason, and the cases that need it are reported as skipped by name.
 */
import { networkInterfaces } from "node:os";
import type { TestContext } from "vitest";
import type { HostNetwork } from "../../src/host-network.js";
import type { PeerKit } from "./peer-kit.js";

/** `true`, or the reason why not. */
export type Capability = true | string;

export interface HostNetworkCapabilities {
  /** FIN one way while data goes on the other way. */
  readonly halfClose: Capability;
  /** The other side of a stream sees the difference between FIN and RST, and so do we. */
  readonly reset: Capability;
  /** A refused connection is told as `ECONNREFUSED`. */
  readonly refused: Capability;
  /** A stream knows the address that it comes from. */
  readonly localEndpoint: Capability;
  /** A reader on the other side that stops makes us stop. */
  readonly backpressure: Capability;
  /** A reader of ours that stops makes the other side stop. */
  readonly flowControl: Capability;
  /** What a server sends before FIN gets to a reader of ours that is slow. Default: true. */
  readonly wholeDownloads?: Capability;
  readonly unixStreams: Capability;
  readonly ipv6: Capability;
  /** `listenStream` and `bindDatagram`. */
  readonly listen: Capability;
  /** Connecting from an address of choice. */
  readonly localAddress: Capability;
  readonly datagrams: Capability;
  /** Sockets are file descriptors of this process, and can run out. */
  readonly descriptors: Capability;
  /** `ref` and `unref` decide whether the process lives on. */
  readonly holdsProcess: Capability;
}

/** What sockets of the system can do: everything. */
export const ALL_CAPABILITIES: HostNetworkCapabilities = {
  halfClose: true,
  reset: true,
  refused: true,
  localEndpoint: true,
  backpressure: true,
  flowControl: true,
  unixStreams: true,
  ipv6: true,
  listen: true,
  localAddress: true,
  datagrams: true,
  descriptors: true,
  holdsProcess: true,
};

/** What no relay of a page can do, however good it is. */
export const RELAY_CAPABILITIES: HostNetworkCapabilities = {
  ...ALL_CAPABILITIES,
  localEndpoint: "a relay does not tell it",
  unixStreams: "a relay has no files",
  localAddress: "the relay chooses",
  descriptors: "sockets are the relay's",
  holdsProcess: "a page is no process",
};

export interface HostNetworkFixture {
  /** A new network each time; the suite closes it. */
  make(): HostNetwork | Promise<HostNetwork>;
  /** Makes servers and clients that the network can reach, and be reached by. */
  readonly peers: PeerKit;
  readonly capabilities: HostNetworkCapabilities;
  /** Module whose default export is `make`, for the cases that need a process of their own. Absolute path. */
  readonly childModule: string;
}

/** Skips the running case, with its reason, where the implementation cannot do what it needs. */
export function needs(
  context: TestContext,
  fixture: HostNetworkFixture,
  ...names: (keyof HostNetworkCapabilities)[]
): void {
  for (const name of names) {
    const capability = fixture.capabilities[name] ?? true;
    if (capability !== true) context.skip(`${name}: ${capability}`);
    if (name === "ipv6" && !hasIpv6Loopback()) context.skip("this machine has no ::1");
  }
}

function hasIpv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === "::1"),
  );
}
