/**
 * What every guest must have of its network, for a guest in a page: through the stack there, a WebSocket, and our relay.
 */
import { afterAll, describe, expect, it } from "vitest";
import { describeDatagrams } from "../system/scenarios/datagrams.js";
import { describeEndsOfStreams } from "../system/scenarios/ends-of-streams.js";
import { describeLeaseAndNeighbours } from "../system/scenarios/lease-and-neighbours.js";
import { describeNames, SCENARIO_NAMES } from "../system/scenarios/names.js";
import { describeTransfers } from "../system/scenarios/transfers.js";
import { DnsResolver } from "../support/host/dns-resolver.js";
import { pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";
import { shareRig } from "../support/rig.js";

describe("network of a guest in a page", () => {
  let resolver: DnsResolver | undefined;
  const rigOf = shareRig<PageRig>(pageRigMissing, async () => {
    resolver = await DnsResolver.start("127.0.0.1", SCENARIO_NAMES);
    const rig = await startPageRig({ slirp: { wisp: { dnsServers: [resolver.endpoint] } } });
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

  it("has thrown nothing", (ctx) => {
    expect(rigOf(ctx).guest.errors).toEqual([]);
  });
});
