/** Names: the guest asks the stack's virtual name server, and the answers come from a resolver on the host. */
import { expect, it, type TestContext } from "vitest";
import type { DnsName, DnsResolver } from "../../support/host/dns-resolver.js";
import { attempt, errorText, succeed } from "../../support/guest-commands.js";
import type { GuestRig } from "../../support/rig.js";

/** What the resolver must know. */
export const SCENARIO_NAMES: Readonly<Record<string, DnsName>> = {
  "plain.test": { a: "192.0.2.17", aaaa: "2001:db8::17" },
  // The gateway, which is the host's loopback.
  "host.test": { a: "10.0.2.2", onlyOverTcp: true },
};

export function describeNames(
  rigOf: (ctx: TestContext) => GuestRig,
  resolverOf: () => DnsResolver,
): void {
  it.for([
    { nameServer: "10.0.2.3", over: "IPv4" },
    { nameServer: "fec0::3", over: "IPv6" },
  ])("resolves names by the virtual name server over $over", async ({ nameServer }, ctx) => {
    const { guest } = rigOf(ctx);
    const before = resolverOf().questions.length;
    // nslookup connects its socket: an answer from another address than the one asked is not heard.
    const text = await succeed(guest, `nslookup plain.test ${nameServer}`);
    expect(text).toContain("192.0.2.17");
    expect(text).toContain("2001:db8::17");
    const asked = resolverOf().questions.slice(before);
    expect(asked.map(({ type }) => type).sort()).toEqual(["A", "AAAA"]);
    const unknown = await attempt(guest, `nslookup nobody.test ${nameServer}`);
    expect(unknown.text + errorText(unknown)).toContain("NXDOMAIN");
  });

  it("resolves by TCP what does not fit into UDP", async (ctx) => {
    const { guest } = rigOf(ctx);
    // The C library's resolver, which repeats a truncated answer's question by TCP. Nobody listens at the port: what
    // counts is that the name led somewhere.
    const { errorOutput } = await attempt(guest, "nc.openbsd -4 -v -w 60 host.test 1");
    expect(Buffer.from(errorOutput).toString()).toMatch(/host\.test \(10\.0\.2\.2\).*refused/);
    expect(resolverOf().asked("host.test", "udp").length).toBeGreaterThan(0);
    expect(resolverOf().asked("host.test", "tcp").length).toBeGreaterThan(0);
  });
}
