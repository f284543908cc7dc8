/**
 * What an interface is given over netlink, all or nothing; and scripts.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { asNobody } from "../support/as-nobody.js";
import { describeTap, type TapWorld } from "../support/describe-tap.js";
import { withScript } from "../support/with-script.js";

const failed = { code: ErrorCode.deviceFailed };

interface AddressEntry {
  readonly ifname: string;
  readonly mtu: number;
  readonly address: string;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly addr_info: readonly {
    local: string;
    prefixlen: number;
    broadcast?: string;
    scope: string;
  }[];
}

async function describeInterface(world: TapWorld, name: string): Promise<AddressEntry> {
  const text = await world.namespace.run("ip", "-j", "address", "show", name);
  return (JSON.parse(text) as [AddressEntry])[0];
}

/** All that there is in the namespace, but counters. */
async function describeAll(world: TapWorld): Promise<string> {
  const { namespace } = world;
  const parts = [
    await namespace.run("ip", "-d", "link"),
    await namespace.run("ip", "address"),
    await namespace.run("ip", "route", "show", "table", "all"),
    await namespace.run("ip", "-6", "route", "show", "table", "all"),
  ];
  // Clocks, and the queueing discipline that the kernel gives an interface when it is up for the first time.
  return parts.join("\n").replaceAll(/(valid_lft|preferred_lft|qdisc) \w+|gc_timer +\S+/g, "");
}

describeTap("an interface", (test) => {
  test("is given all that is said: MAC, bridge, MTU, and is up", async (world) => {
    await world.namespace.ip("link add bridge0 type bridge");
    const tap = await world.open({
      name: "tap0",
      mac: "52:54:00:AB:cd:ef",
      bridge: "bridge0",
      mtuBytes: 9000,
    });
    const entry = await describeInterface(world, "tap0");
    expect(entry).toMatchObject({ address: "52:54:00:ab:cd:ef", master: "bridge0", mtu: 9000 });
    expect(entry.flags).toContain("UP");
    expect(tap.linkState).toBe("up");
  });

  test("is given addresses and default routes of both versions", async (world) => {
    const conf = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
    await world.namespace.run("sh", "-c", `echo 0 > ${conf}`);
    await world.open({
      name: "tap0",
      addresses: ["fd00:5::1/64", "10.0.5.1/20"],
      gateways: ["fd00:5::2", "10.0.5.2"],
    });
    const { addr_info: addresses } = await describeInterface(world, "tap0");
    expect(addresses.filter(({ scope }) => scope === "global")).toMatchObject([
      { local: "10.0.5.1", prefixlen: 20, broadcast: "10.0.15.255" },
      { local: "fd00:5::1", prefixlen: 64 },
    ]);
    const { namespace } = world;
    expect(await namespace.run("ip", "route")).toContain("default via 10.0.5.2 dev tap0");
    expect(await namespace.run("ip", "-6", "route")).toContain("default via fd00:5::2 dev tap0");
  });

  test("stays down when nothing asks for more", async (world) => {
    await world.open({ name: "tap0", mtuBytes: 1400 });
    const entry = await describeInterface(world, "tap0");
    expect(entry.flags).not.toContain("UP");
    expect(entry.mtu).toBe(1400);
  });

  describe("of which something cannot be is as it was before", () => {
    const cases = {
      "the bridge is not there": { bridge: "nowhere0" },
      "the bridge is no bridge": { bridge: "lo" },
      "an address is there already": { addresses: ["10.0.9.1/24", "10.0.9.1/24"] },
      "the gateway is not in the network": { addresses: ["10.0.9.1/24"], gateways: ["10.0.7.1"] },
      "there is a default route": { addresses: ["10.0.9.1/24"], gateways: ["10.0.9.2"] },
    };
    for (const [why, options] of Object.entries(cases)) {
      test(`because ${why}`, async (world) => {
        const first = await world.open({ name: "tap0", persistent: true });
        await first.close();
        await world.namespace.ip(`
          link set tap0 mtu 1300
          address add 10.0.8.1/24 dev tap0
          link add other0 type bridge
          link set other0 up
          address add 10.0.6.1/24 dev other0
          route add default via 10.0.6.9`);
        const before = await describeAll(world);
        const opening = world.open({
          name: "tap0",
          mac: "52:54:00:12:34:56",
          mtuBytes: 1400,
          up: true,
          ...options,
        });
        await expect(opening).rejects.toMatchObject({
          ...failed,
          message: /tap0: .* cannot be set/,
        });
        expect(await describeAll(world)).toBe(before);
      });
    }

    test("and a new interface is not there at all", async (world) => {
      const before = await describeAll(world);
      const opening = world.open({ name: "tap0", persistent: true, gateways: ["10.0.9.2"] });
      await expect(opening).rejects.toMatchObject(failed);
      expect(await describeAll(world)).toBe(before);
    });
  });
});

describeTap("scripts", (test) => {
  test("are run with the interface's name: one when it is there, one before it goes", async (world) => {
    const body = `echo "$1" >> "$(dirname "$0")/log"`;
    await withScript(body, async (path, folder) => {
      const options = { upScript: path, downScript: path, queues: 2 };
      const queues = await world.openQueues({ name: "tap0", ...options });
      expect(readFileSync(join(folder, "log"), "utf8")).toBe("tap0\n");
      await Promise.all(queues.map((queue) => queue.close()));
      await queues[0]?.close();
      expect(readFileSync(join(folder, "log"), "utf8")).toBe("tap0\ntap0\n");
    });
  });

  test("have none of the process's descriptors", async (world) => {
    await withScript(`ls -l /proc/self/fd > "$(dirname "$0")/log"`, async (path, folder) => {
      await world.open({ name: "tap0", upScript: path });
      const lines = readFileSync(join(folder, "log"), "utf8").split("\n");
      const others = lines.filter((line) => !/ [012] -> /.test(line)).join("\n");
      expect(others).not.toMatch(/tun|socket|\/ns\//);
    });
  });

  test("that fail are an error with their status and last words, and nothing stays", async (world) => {
    await withScript("echo first >&2; echo no bridge here >&2; exit 3", async (path) => {
      const before = await describeAll(world);
      const opening = world.open({ name: "tap0", upScript: path });
      const message = /script.*for tap0 ended with status 3: no bridge here/;
      await expect(opening).rejects.toMatchObject({ ...failed, message });
      expect(await describeAll(world)).toBe(before);
      const tap = await world.open({ name: "tap0", downScript: path });
      await expect(tap.close()).rejects.toMatchObject({ ...failed, message });
      expect(await describeAll(world), "it is closed nevertheless").toBe(before);
    });
    const missing = world.open({ upScript: "/no/such/script" });
    await expect(missing).rejects.toMatchObject({ ...failed, message: /could not be run/ });
    const none = await world.open({ name: "tap0", upScript: "no", downScript: "no" });
    await none.close();
  });

  test("for the end are run when the process exits without closing", async (world) => {
    await withScript(`echo "$1" > "$(dirname "$0")/log"`, async (path, folder) => {
      const entry = new URL("../../dist/tap.js", import.meta.url).href;
      const script = `import { openTap } from ${JSON.stringify(entry)};
        await openTap({ name: "tap0", downScript: ${JSON.stringify(path)} });`;
      await world.namespace.run(process.execPath, "--input-type=module", "-e", script);
      expect(readFileSync(join(folder, "log"), "utf8")).toBe("tap0\n");
    });
  });
});

describeTap("an ordinary user", (test) => {
  test("opens an interface that was made for him, and no other", async (world) => {
    for (const [name, owner] of [
      ["his0", 65_534],
      ["other0", 1],
    ] as const) {
      const tap = await world.open({ name, owner, persistent: true, up: true });
      await tap.close();
    }
    const entry = new URL("../../dist/tap.js", import.meta.url).href;
    const script = `import { openTap } from ${JSON.stringify(entry)};
      const tap = await openTap({ name: "his0" });
      tap.setCapabilities(tap.capabilities(12), 12);
      console.log(tap.interfaceName, tap.linkState, tap.send(new Uint8Array(72)), tap.statistics().droppedToGuest);
      await tap.close();
      await openTap({ name: "other0" }).catch(({ message }) => console.log(message));`;
    const words = asNobody([process.execPath, "--input-type=module", "-e", script]);
    const [first, second] = (await world.namespace.run(...words)).trim().split("\n");
    expect(first).toBe("his0 up taken 0");
    expect(second).toMatch(/"other0" cannot be opened: EPERM.*owner/);
  });
});
