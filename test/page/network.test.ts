/**
 * What every guest must have of its network, for a guest in a page: through the stack there, a WebSocket, and our relay.
 */
import { describe, expect, it } from "vitest";
import { describeCommonNetwork } from "../system/scenarios/describe-network.js";
import { pageRigMissing, startPageRig } from "../support/page-rig.js";

describe("network of a guest in a page", () => {
  const rigOf = describeCommonNetwork(pageRigMissing, ({ endpoint }) =>
    startPageRig({ slirp: { wisp: { dnsServers: [endpoint] } } }),
  );
  it("has thrown nothing", (ctx) => {
    expect(rigOf(ctx).guest.errors).toEqual([]);
  });
});
