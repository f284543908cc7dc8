/**
 * Namespaces by name, by path and by process, in each of which a TAP is really opened.
 */
import { expect } from "vitest";
import { openTap, TapInstances } from "../../src/tap.js";
import { describeTap, type TapWorld } from "../support/describe-tap.js";

/** The interfaces in the namespace. */
async function namesIn({ namespace }: TapWorld): Promise<string[]> {
  const links = JSON.parse(await namespace.run("ip", "-j", "link")) as { ifname: string }[];
  return links.map(({ ifname }) => ifname);
}

describeTap("a namespace", (test) => {
  test("is found by a process that is in it", async (world) => {
    const namespace = `pid:${String(world.namespace.pid)}`;
    await using tap = await openTap({ name: "blue0", namespace, addresses: ["10.0.5.1/24"] });
    expect(await namesIn(world)).toContain("blue0");
    expect(tap.linkState).toBe("up");
    await using instances = new TapInstances();
    await instances.create({ id: 7, namespace });
    expect(instances.list()).toMatchObject([{ id: 7, name: "tap7", namespace }]);
    expect(await namesIn(world)).toContain("tap7");
  });

  test("is found by its path", async (world) => {
    await using tap = await openTap({ name: "blue0", namespace: world.namespace.path });
    expect(await namesIn(world)).toContain(tap.interfaceName);
  });

  test("is found by the name that `ip netns` gave it", async (world) => {
    const entry = JSON.stringify(new URL("../../dist/tap.js", import.meta.url).href);
    const script = `import { listTaps, openTap } from ${entry};
      import { execFileSync } from "node:child_process";
      const tap = await openTap({ name: "blue0", namespace: "blue", addresses: ["10.0.5.1/24"] });
      const show = (...where) => execFileSync("ip", [...where, "-j", "link"], { encoding: "utf8" });
      console.log(tap.linkState, listTaps({ namespace: "blue" }).map(({ name }) => name).join());
      console.log(show("-n", "blue").includes('"blue0"'), show().includes('"blue0"'));
      await tap.close();
      await openTap({ namespace: "red" }).catch(({ code, message }) => console.log(code, message));`;
    // The names are files in /run/netns, which only this program sees, so that the machine's own stay as they are.
    const shell = `mount -t tmpfs none /run && ip netns attach blue ${String(world.namespace.pid)} &&
      exec "$0" --input-type=module -e "$1"`;
    const words = ["unshare", "--mount", "--net", "sh", "-c", shell, process.execPath, script];
    const [first, second, third] = (await world.namespace.run(...words)).trim().split("\n");
    expect(first).toBe("up blue0");
    expect(second, "there, and not in one's own").toBe("true false");
    expect(third).toMatch(/^ERR_SLIRP_DEVICE_FAILED .*"red" cannot be opened: ENOENT/);
  });
});
