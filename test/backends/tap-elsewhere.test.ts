/**
 * A TAP in a network namespace that the process may not enter: what is said of it is true, or is not said. A program without any
 * capability gets the descriptor, in a namespace that has another interface of the same name.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadTapAddon, TunFlag } from "../../src/backends/tap-addon.js";
import { ROOT } from "../house/scratch.js";
import { killChild } from "../support/kill-child.js";
import { NetworkNamespace, whyNoTap } from "../support/network-namespace.js";

const FD = 3;
/** Says the state of the link, and how the backend ended. */
const PROGRAM = `
  const { openTap } = await import(${JSON.stringify(join(ROOT, "dist/tap.js"))});
  const tap = await openTap({ fd: ${String(FD)} });
  tap.callbacks = { onFrames() {}, onError: (error) => { console.log(error.message); tap.close(); } };
  tap.enableReceive();
  console.log(tap.linkState);`;
const WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
const MISSING = whyNoTap();

if (MISSING !== undefined) {
  it("a TAP of another namespace", (ctx) => {
    ctx.skip(MISSING);
  });
}

describe.runIf(MISSING === undefined)("a TAP of another namespace", () => {
  let there: NetworkNamespace;
  let here: NetworkNamespace;
  let child: ChildProcess | undefined;

  beforeEach(async () => {
    there = await NetworkNamespace.create();
    here = await NetworkNamespace.create();
  });

  afterEach(async () => {
    if (child) await killChild(child);
    await there.close();
    await here.close();
  });

  /** Starts the program with it; answers the lines that it says. */
  function start(wrap: readonly string[]): AsyncIterator<string> {
    const addon = loadTapAddon();
    const namespace = openSync(there.path, "r");
    const fd = addon.openTun("/dev/net/tun", namespace);
    closeSync(namespace);
    addon.setInterface(fd, "tap0", TunFlag.tap | TunFlag.noPacketInformation);
    const node = [process.execPath, "--input-type=module", "-e", PROGRAM];
    const [program, args] = here.command(...wrap, ...node);
    child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit", fd] });
    closeSync(fd);
    return createInterface(child.stdout!)[Symbol.asyncIterator]();
  }

  it("is not taken for one of the same name that is nearer", async () => {
    await here.ip("tuntap add dev tap0 mode tap\nlink set tap0 up");
    const lines = start(WITHOUT_RIGHTS);
    expect(await lines.next()).toMatchObject({ value: "down" });
    await here.ip("link delete tap0");
    await there.ip("link delete tap0");
    expect(await lines.next()).toMatchObject({
      value: expect.stringContaining("tap:tap0 is gone") as string,
    });
  });
});
