/**
 * What every guest must have of its network, whatever its NIC:
 *
 *     describeNetwork(V86_VIRTIO);
 *
 * One guest and one stack serve all cases, in order; each leaves both as it found them.
 */
import { afterAll, describe, type TestContext } from "vitest";
import { DnsResolver } from "../../support/host/dns-resolver.js";
import { shareRig, type GuestRig, type RigKind } from "../../support/rig.js";
import { describeDatagrams } from "./datagrams.js";
import { describeEndsOfStreams } from "./ends-of-streams.js";
import { describeGuestConnections } from "./guest-connections.js";
import { describeHostForwards } from "./host-forwards.js";
import { describeLeaseAndNeighbours } from "./lease-and-neighbours.js";
import { describeNames, SCENARIO_NAMES } from "./names.js";
import { describeTransfers } from "./transfers.js";

/**
 * Registers what every guest must have, wherever its stack is, for one guest. To be called in a `describe` block.
 *
 * @param start makes the guest with this resolver for its names
 * @returns as `shareRig`
 */
export function describeCommonNetwork<SomeRig extends GuestRig>(
  missing: () => string | undefined,
  start: (resolver: DnsResolver) => Promise<SomeRig>,
): (ctx: TestContext) => SomeRig {
  let resolver: DnsResolver | undefined;
  const rigOf = shareRig(missing, async () => {
    resolver = await DnsResolver.start("127.0.0.1", SCENARIO_NAMES);
    const rig = await start(resolver);
    await rig.guest.configureNetwork({ ipv6TimeoutMs: 60_000 });
    return rig;
  });
  afterAll(async () => {
    await resolver?.[Symbol.asyncDispose]();
  });
  describeLeaseAndNeighbours(rigOf);
  describeNames(rigOf, () => {
    if (!resolver) throw new Error("the resolver was not started");
    return resolver;
  });
  describeTransfers(rigOf);
  describeEndsOfStreams(rigOf);
  describeDatagrams(rigOf);
  return rigOf;
}

export function describeNetwork(kind: RigKind): void {
  describe(`network of a guest under ${kind.name}`, () => {
    const rigOf = describeCommonNetwork(
      () => kind.missing(),
      (resolver) => kind.start({ hostNetwork: { dnsServers: [resolver.server] } }),
    );
    describeHostForwards(rigOf);
    describeGuestConnections(rigOf);
  });
}
