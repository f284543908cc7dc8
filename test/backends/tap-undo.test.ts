/**
 * An interface that was there before, and that an opening in vain leaves as it was: whatever fails, and whenever.
 */
import { describe, expect } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import type { OpenTapOptions } from "../../src/tap.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";

const failed = { code: ErrorCode.deviceFailed };

/** All that there is in the namespace, but counters. */
async function describeAll({ namespace }: TapWorld): Promise<string> {
  const routes = (
    await Promise.all(
      ["-4", "-6"].map((family) => namespace.run("ip", family, "route", "show", "table", "all")),
    )
  ).flatMap((text) => text.split("\n").sort());
  const others = [await namespace.run("ip", "-d", "link"), await namespace.run("ip", "address")];
  const neighbours = await namespace.run("ip", "neighbour", "show", "nud", "permanent");
  return [...others, ...routes, ...neighbours.split("\n").sort()]
    .join("\n")
    .replaceAll(/(valid_lft|preferred_lft|qdisc) \w+|gc_timer +\S+/g, "");
}

/**
 * An interface with addresses, neighbours and routes of both versions. It has several queues, and some are open all the time, so that its cable stays in.
 */
async function makeInterface(world: TapWorld, state: "up" | "down"): Promise<void> {
  await world.openQueues({ name: "tap0", queues: 2 });
  // An address that the kernel makes by itself (mode 0) would come when it likes.
  const conf = "/proc/sys/net/ipv6/conf";
  await world.namespace.run(
    "sh",
    "-c",
    `for name in default tap0; do
      echo 0 > ${conf}/$name/disable_ipv6; echo 1 > ${conf}/$name/addr_gen_mode; done`,
  );
  await world.namespace.ip(`
    link set tap0 up
    link set tap0 ${state}
    address add 10.0.8.1/24 dev tap0
    address add 10.0.8.2/24 dev tap0
    address add fd00:8::1/64 dev tap0 nodad
    address add fd00:8::2/64 dev tap0 nodad noprefixroute`);
  if (state === "down") return;
  await world.namespace.ip(`
    neighbour add 10.0.8.9 lladdr 52:54:00:00:00:09 dev tap0
    neighbour add fd00:8::9 lladdr 52:54:00:00:00:09 dev tap0
    route add default via 10.0.8.9 metric 50
    route add 10.9.0.0/16 via 10.0.8.9
    route add 10.7.0.0/16 dev tap0 src 10.0.8.2 table 77
    route add default via fd00:8::9 metric 50
    route add fd00:9::/64 via fd00:8::9
    route add fd00:7::/64 dev tap0 table 77`);
  // The kernel does the rest of an IPv6 address later, also of one that it does not ask for on the link.
  await waitUntil("IPv6 addresses are local", async () => {
    const local = await world.namespace.run("ip", "-6", "route", "show", "table", "local");
    return ["fd00:8::1", "fd00:8::2"].every((address) => local.includes(`local ${address} `));
  });
}

async function expectAsBefore(world: TapWorld, options: OpenTapOptions): Promise<void> {
  const before = await describeAll(world);
  const opening = world.openQueues({ name: "tap0", queues: 2, ...options });
  await expect(opening).rejects.toMatchObject(failed);
  let after = "";
  const isAsBefore = async (): Promise<boolean> => {
    after = await describeAll(world);
    return after === before;
  };
  await waitUntil("the kernel has settled", isAsBefore, 10_000).catch(() => undefined);
  expect(after).toBe(before);
}

/** What fails when the interface has been given everything. */
const LATE = {
  "the script": { upScript: "/bin/false" },
  "vhost-net": { vhost: true, vhostPath: "/dev/null" },
} as const satisfies Record<string, OpenTapOptions>;

/** What is asked of the interface. */
const WISHES = {
  "another MAC address, MTU and network": {
    mac: "52:54:00:12:34:56",
    mtuBytes: 1400,
    addresses: ["10.0.9.1/24", "fd00:a::1/64", "10.0.8.3/24"],
  },
  "to be down": { up: false },
  "to be down, with an address": { up: false, addresses: ["fd00:a::1/64"] },
  "an MTU that is too small for IPv6": { mtuBytes: 1000 },
} as const satisfies Record<string, OpenTapOptions>;

describeTap("an interface that was there", (test) => {
  for (const [what, late] of Object.entries(LATE)) {
    describe(`is as before when ${what} fails after`, () => {
      for (const [which, wish] of Object.entries(WISHES)) {
        test(`it was given ${which}`, async (world) => {
          await makeInterface(world, "up");
          await expectAsBefore(world, { ...wish, ...late });
        });
      }

      test("it was set up, and keeps the addresses that it had", async (world) => {
        await makeInterface(world, "down");
        await expectAsBefore(world, { up: true, ...late });
        await expectAsBefore(world, { addresses: ["10.0.9.1/24"], mtuBytes: 1280, ...late });
      });
    });
  }

  const EARLY = {
    "the IPv6 address is there already": { addresses: ["10.0.9.1/24", "fd00:8::1/64"] },
    "the IPv6 gateway is not in the network": {
      addresses: ["10.0.9.1/24", "fd00:a::1/64"],
      gateways: ["fd00:b::1"],
    },
    "there is an IPv6 default route": {
      addresses: ["fd00:a::1/64", "10.0.9.1/24"],
      gateways: ["fd00:a::2"],
    },
  };
  for (const [why, options] of Object.entries(EARLY)) {
    test(`is as before when ${why}`, async (world) => {
      await makeInterface(world, "up");
      // Of the same metric as the one that is asked for.
      await world.namespace.ip("route add default via fd00:8::9");
      await expectAsBefore(world, { mtuBytes: 1400, ...options });
    });
  }

  test("is not given an owner when its group is refused", async (world) => {
    const entry = JSON.stringify(new URL("../../dist/tap.js", import.meta.url).href);
    // In a user namespace that has one user and one group.
    const script = `import { listTaps, openTap } from ${entry};
      const open = async (options) => (await openTap({ name: "tap0", persistent: true, ...options })).close();
      await open({});
      const refused = ({ code, message }) => console.log(code, message);
      await open({ owner: 0, group: 5 }).catch(refused);
      await open({ owner: 5, group: 0 }).catch(refused);
      console.log(JSON.stringify(listTaps().map(({ owner, group }) => [owner, group])));
      await open({ owner: 0, group: 0 });
      console.log(JSON.stringify(listTaps().map(({ owner, group }) => [owner, group])));`;
    const words = ["unshare", "--user", "--map-root-user", "--net", process.execPath];
    const text = await world.namespace.run(...words, "--input-type=module", "-e", script);
    const lines = text.trim().split("\n");
    expect(lines[0]).toMatch(/^ERR_SLIRP_INVALID_CONFIGURATION option group: there is no 5 in/);
    expect(lines[1]).toMatch(/^ERR_SLIRP_INVALID_CONFIGURATION option owner: there is no 5 in/);
    expect(lines.slice(2)).toEqual(["[[null,null]]", "[[0,0]]"]);
  });
});
