/**
 * Two tabs of one browser, a guest in each, and one stack for both: the first tab's, on our relay.
 */
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import type { GuestNetwork } from "../../src/cli/guest-network.js";
import { fetchedHash, succeed } from "../support/guest-commands.js";
import { HostHttpServer } from "../support/host/http-server.js";
import type { PageGuest } from "../support/page-guest.js";
import { pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";

/** Addresses are the stack's to give, so the guests have different ones. */
describe("guests of two tabs on one stack", () => {
  let rig: PageRig | undefined;
  let second: PageGuest | undefined;
  let server: HostHttpServer | undefined;
  let networks: readonly [GuestNetwork, GuestNetwork];

  beforeAll(async () => {
    if (pageRigMissing() !== undefined) return;
    server = await HostHttpServer.start();
    rig = await startPageRig({ tabs: "serve" });
    second = await rig.open({ tabs: "join" });
    networks = [await rig.guest.configureNetwork(), await second.configureNetwork()];
  });

  afterAll(async () => {
    await rig?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  function guests(ctx: TestContext): readonly [PageGuest, PageGuest] {
    const reason = pageRigMissing();
    if (reason !== undefined) ctx.skip(reason);
    if (!rig || !second) throw new Error("the guests were not started");
    return [rig.guest, second];
  }

  it("get leases of that stack, each its own", (ctx) => {
    guests(ctx);
    const [one, two] = networks;
    expect(one.address).toMatch(/^10\.0\.2\.1[56]$/);
    expect(two.address).toMatch(/^10\.0\.2\.1[56]$/);
    expect(one.address).not.toBe(two.address);
    expect(two.gateway).toBe("10.0.2.2");
  });

  it("ping the gateway and each other", async (ctx) => {
    const [one, two] = guests(ctx);
    const [networkOne, networkTwo] = networks;
    const ping = (guest: PageGuest, address = ""): Promise<string> =>
      succeed(guest, `ping -c 2 ${address}`);
    expect(await ping(two, "10.0.2.2")).toContain("2 packets received");
    expect(await ping(two, networkOne.address)).toContain("2 packets received");
    expect(await ping(one, networkTwo.address)).toContain("2 packets received");
  });

  it("serve each other by HTTP", async (ctx) => {
    const [one, two] = guests(ctx);
    const [networkOne, networkTwo] = networks;
    for (const [from, to, address] of [
      [one, two, networkTwo.address],
      [two, one, networkOne.address],
    ] as const) {
      const made = "head -c 1000000 /dev/urandom >/tmp/file && sha256sum </tmp/file";
      const hash = (await succeed(to, made)).slice(0, 64);
      await succeed(to, "httpd -p 80 -h /tmp");
      expect(await fetchedHash(from, `http://${address ?? ""}/file`)).toBe(hash);
    }
  });

  it("reach the outside through the relay, at once", async (ctx) => {
    const both = guests(ctx);
    const hosts = server;
    if (!hosts) throw new Error("the server was not started");
    const files = both.map((_, index) => hosts.randomFile(`tab-${String(index)}`, 4 * 1024 * 1024));
    const fetched = await Promise.all(
      both.map((guest, index) =>
        fetchedHash(guest, `http://10.0.2.2:${String(hosts.port)}${files[index]?.path ?? ""}`),
      ),
    );
    expect(fetched).toEqual(files.map(({ sha256 }) => sha256));
    expect(rig?.relay.relay.connections, "only one tab has a stack, and so a relay").toBe(1);
  });

  it("throw nothing", (ctx) => {
    expect(guests(ctx).flatMap(({ errors }) => errors)).toEqual([]);
  });
});
