/** A TAP by a helper: QEMU's own, and some that do not do what they should. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { openTap, type TapBackend } from "../../src/tap.js";
import { describeTap, waitUntil, type TapWorld } from "../support/describe-tap.js";
import { listOpenFiles } from "../support/open-files.js";
import { withScript } from "../support/with-script.js";

const failed = { code: ErrorCode.deviceFailed };
const QEMU_HELPER = "/usr/lib/qemu/qemu-bridge-helper";

/** The body of a script that sends descriptors of these files in one message; `then` is Python, too. */
function sending(paths: readonly string[], then = "pass"): string {
  return `exec python3 -c '
import os, socket, sys, time
files = [os.open(path, os.O_RDWR) for path in sys.argv[2:]]
socket.send_fds(socket.socket(fileno=3), [b"x"], files)
${then}
' "$(dirname "$0")" ${paths.join(" ")}`;
}

async function bridgeOf({ namespace }: TapWorld, tap: TapBackend): Promise<string | undefined> {
  const text = await namespace.run("ip", "-j", "link", "show", tap.interfaceName);
  return (JSON.parse(text) as [{ master?: string }])[0].master;
}

describeTap("a helper", (test) => {
  test("that is QEMU's gives us a TAP in its bridge", async (world) => {
    if (!existsSync(QEMU_HELPER)) throw new Error(`${QEMU_HELPER} is not there: QEMU is missing`);
    await world.namespace.ip(`
      link add br7 type bridge
      link set br7 up`);
    const { path } = world.namespace;
    // It reads who may use which bridge from /etc/qemu, which it is given here as a folder of its own.
    const body = `folder="$(dirname "$0")/etc"; mkdir -p "$folder"; echo allow br7 > "$folder/bridge.conf"
      exec nsenter --net=${path} unshare --mount sh -c '
        mkdir -p /etc/qemu 2>/dev/null; mount --bind "$0" /etc/qemu && shift 0; exec ${QEMU_HELPER} "$@"' "$folder" "$@"`;
    await withScript(body, async (script) => {
      const tap = await world.open({ helper: script, bridge: "br7" });
      expect(await bridgeOf(world, tap)).toBe("br7");
      expect(tap.device.hasHeader).toBe(true);
      const refused = openTap({ helper: script, bridge: "br8" });
      await expect(refused).rejects.toMatchObject({
        ...failed,
        message: /helper.*ended with status 1: .*denied/,
      });
      // As QEMU, which adds to a command line what is not in it.
      for (const [line, bridge] of [
        [`${script} --br=br7`, "br8"],
        [`exec ${script}`, "br7"],
      ] as const) {
        const other = await world.open({ helper: line, bridge });
        expect(await bridgeOf(world, other)).toBe("br7");
        expect(other.device.hasHeader, line).toBe(true);
        expect(other.capabilities(12), line).toBe(tap.capabilities(12));
      }
    });
  });

  test("that sends no descriptor is an error", async () => {
    for (const body of ["exit 0", "printf x >&3", "echo told >&2"]) {
      await withScript(body, async (path) => {
        const message = /sent no descriptor/;
        await expect(openTap({ helper: path })).rejects.toMatchObject({ ...failed, message });
      });
    }
    const missing = openTap({ helper: "/no/such/helper" });
    await expect(missing).rejects.toMatchObject({ ...failed, message: /could not be run/ });
  });

  test("that sends what is no TAP, or too much, or fails after that, is an error, and all of it is closed", async () => {
    const cases: [string, RegExp][] = [
      [sending(["/dev/null"]), /no TUN device/],
      [sending(["/dev/net/tun"]), /never attached/],
      [sending(["/dev/null", "/dev/zero"]), /sent several descriptors/],
      [sending(["/dev/null", "/dev/zero", "/dev/full"]), /sent several descriptors/],
      [sending(["/dev/null"], "sys.exit(3)"), /ended with status 3/],
    ];
    for (const [body, message] of cases) {
      await withScript(body, async (path) => {
        const before = listOpenFiles();
        await expect(openTap({ helper: path })).rejects.toMatchObject({ ...failed, message });
        expect(listOpenFiles()).toEqual(before);
      });
    }
  });

  test("that does not end is ended when the opening is called off, and what it sent is closed", async () => {
    const then = `
with open(sys.argv[1] + "/pid.part", "w") as file: file.write(str(os.getpid()))
os.rename(sys.argv[1] + "/pid.part", sys.argv[1] + "/pid")
time.sleep(1000)`;
    await withScript(sending(["/dev/null"], then), async (path, folder) => {
      const before = listOpenFiles();
      const reason = new Error("never mind");
      const controller = new AbortController();
      const opening = openTap({ helper: path, signal: controller.signal });
      const ending = expect(opening).rejects.toBe(reason);
      const file = join(folder, "pid");
      await waitUntil("the helper has sent a descriptor", () => existsSync(file));
      controller.abort(reason);
      await ending;
      const pid = readFileSync(file, "utf8");
      await waitUntil("the helper is gone", () => !existsSync(`/proc/${pid}`));
      const isAsBefore = (): boolean => listOpenFiles().join() === before.join();
      await waitUntil(() => `only ${before.join()} is open: ${listOpenFiles().join()}`, isAsBefore);
    });
  });
});
