/** The first minutes of a guest: lease, addresses, the gateway's MAC, pings. */
import { expect, it, type TestContext } from "vitest";
import { succeed } from "../../support/guest-commands.js";
import type { GuestRig } from "../../support/rig.js";

export function describeLeaseAndNeighbours(rigOf: (ctx: TestContext) => GuestRig): void {
  it("gives a lease with the defaults of QEMU, and an address by router advertisement", async (ctx) => {
    const { guest } = rigOf(ctx);
    const network = await guest.configureNetwork({ ipv6TimeoutMs: 60_000 });
    expect(network).toMatchObject({
      address: "10.0.2.15",
      prefixLength: 24,
      gateway: "10.0.2.2",
      nameservers: ["10.0.2.3"],
      domain: undefined,
      searchDomains: [],
      leaseSeconds: 86_400,
      server: "10.0.2.2",
      ipv6Gateway: "fe80::2",
    });
    // From the advertised prefix and the MAC (RFC 4291, appendix A).
    const octets = network.macAddress.split(":").map((octet) => Number.parseInt(octet, 16));
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = octets;
    const interfaceId = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
    const expected = `fec0::${interfaceId.map((group) => group.toString(16)).join(":")}`;
    expect(network.ipv6Addresses).toEqual([{ address: expected, prefixLength: 64 }]);
  });

  it("answers ARP for the gateway and the name server, not for an address nobody has", async (ctx) => {
    const { guest } = rigOf(ctx);
    for (const [address, mac] of [
      ["10.0.2.2", "52:55:0a:00:02:02"],
      ["10.0.2.3", "52:55:0a:00:02:03"],
    ]) {
      const text = await succeed(guest, `arping -I eth0 -c 1 -w 60 ${String(address)}`);
      expect(text.toLowerCase()).toContain(`[${String(mac)}]`);
    }
    const { status } = await guest.capture("arping -I eth0 -c 2 -w 3 10.0.2.77");
    expect(status).not.toBe(0);
  });

  it("answers pings to the gateway over IPv4 and IPv6", async (ctx) => {
    const { guest } = rigOf(ctx);
    for (const target of ["10.0.2.2", "fec0::2"]) {
      expect(await succeed(guest, `ping -c 2 -i 0.2 -W 60 ${target}`)).toContain(
        "2 packets received",
      );
    }
    const large = await succeed(guest, "ping -c 1 -s 4000 -W 60 10.0.2.2");
    expect(large).toContain("4008 bytes from 10.0.2.2");
  });
}
