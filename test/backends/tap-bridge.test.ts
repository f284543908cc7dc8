/**
 * `-netdev bridge,…` with QEMU's own helper, as an installed QEMU has it.
 */
import { existsSync } from "node:fs";
import { expect } from "vitest";
import { describeTap, type TapWorld } from "../support/describe-tap.js";

const QEMU_HELPER = "/usr/lib/qemu/qemu-bridge-helper";

/** Runs a script with the package's entries in the namespace, where /etc has nothing but who may use which bridge. */
async function runWithBridges(world: TapWorld, script: string): Promise<string> {
  const [node, tap] = ["node", "tap"].map((name) =>
    JSON.stringify(new URL(`../../dist/${name}.js`, import.meta.url).href),
  );
  const code = `import ${tap}; import { openBackend } from ${node};
    import { execFileSync } from "node:child_process";
    const run = (...words) => execFileSync(words[0], words.slice(1), { encoding: "utf8" });
    ${script}`;
  const shell = `mount -t tmpfs none /etc && mkdir /etc/qemu &&
    printf 'allow br0\\nallow br7\\n' > /etc/qemu/bridge.conf && exec "$@"`;
  const words = ["unshare", "--mount", "sh", "-c", shell, "sh"];
  return world.namespace.run(...words, process.execPath, "--input-type=module", "-e", code);
}

describeTap("the backend bridge", (test) => {
  test("is a TAP that QEMU's helper puts into a bridge, br0 unless said otherwise", async (world) => {
    if (!existsSync(QEMU_HELPER)) throw new Error(`${QEMU_HELPER} is not there: QEMU is missing`);
    await world.namespace.ip(`
      link add br0 type bridge
      link add br7 type bridge
      link add br8 type bridge`);
    const words = await runWithBridges(
      world,
      `for (const name of ["bridge", "bridge,id=net0,br=br7"]) {
        const tap = await openBackend(name);
        const [{ master }] = JSON.parse(run("ip", "-j", "link", "show", tap.interfaceName));
        console.log(master, tap.device.hasHeader, tap.capabilities(12) !== 0n);
        await tap.close();
      }
      await openBackend("bridge,br=br8").catch(({ code, message }) => console.log(code, message));`,
    );
    const [first, second, third] = words.trim().split("\n");
    expect([first, second]).toEqual(["br0 true true", "br7 true true"]);
    expect(third).toMatch(/helper "\/usr\/lib\/qemu\/.*ended with status 1: .*denied/);
  });

  test("says where it looked for a helper that is not there", async (world) => {
    const words = await runWithBridges(
      world,
      `run("mount", "-t", "tmpfs", "none", "/usr/lib/qemu");
      await openBackend("bridge").catch(({ message }) => console.log(message));`,
    );
    expect(words).toContain(`is not there (tried: ${QEMU_HELPER}, `);
  });
});
