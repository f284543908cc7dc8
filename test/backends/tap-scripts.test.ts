/**
 * The script for an interface's end: run once, however the end comes.
 */
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { describeTap, type TapWorld } from "../support/describe-tap.js";
import { killChild } from "../support/kill-child.js";

const ENTRY = JSON.stringify(new URL("../../dist/tap.js", import.meta.url).href);
const failed = { code: ErrorCode.deviceFailed };

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "scripts-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A script that notes its name and argument, and then does what is said. */
function makeScript(name: string, body = ""): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\necho "${name} $1" >> "${folder}/log"\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** What was run, in order. */
function ran(): string[] {
  const log = join(folder, "log");
  return existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
}

/** Runs a program that opens tap0 with a script for its end; answers it when that is open. */
async function startProgram(world: TapWorld, program: string) {
  const code = `import { openTap } from ${ENTRY};
    const tap = await openTap({ name: "tap0", downScript: ${JSON.stringify(makeScript("down"))} });
    ${program}
    setInterval(() => undefined, 1000);
    console.log("open");`;
  const child = world.namespace.spawn([process.execPath, "--input-type=module", "-e", code]);
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("open");
  return { child, nextLine: async () => (await lines.next()).value as string };
}

describeTap("the script for an interface's end", (test) => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    test(`is run when ${signal} ends the process, which it still does`, async (world) => {
      const { child } = await startProgram(world, "");
      child.kill(signal);
      expect(await once(child, "exit")).toEqual([null, signal]);
      expect(ran()).toEqual(["down tap0"]);
    });
  }

  test("waits where the program itself listens to the signal", async (world) => {
    const { child, nextLine } = await startProgram(
      world,
      `let signals = 0;
      process.on("SIGTERM", async () => {
        console.log("signal", ++signals);
        if (signals < 2) return;
        await tap.close();
        process.exit(7);
      });`,
    );
    try {
      child.kill("SIGTERM");
      expect(await nextLine()).toBe("signal 1");
      expect(ran()).toEqual([]);
      child.kill("SIGTERM");
      expect(await once(child, "exit")).toEqual([7, null]);
      expect(ran()).toEqual(["down tap0"]);
    } finally {
      await killChild(child);
    }
  });

  test("is run when the process, or the thread that has the backend, exits", async (world) => {
    const script = JSON.stringify(makeScript("down"));
    const worker = join(folder, "worker.mjs");
    writeFileSync(
      worker,
      `import { openTap } from ${ENTRY};
      await openTap({ name: "tap1", downScript: ${script} });
      process.exit(0);`,
    );
    const code = `import { once } from "node:events";
      import { Worker } from "node:worker_threads";
      import { openTap } from ${ENTRY};
      await once(new Worker(${JSON.stringify(worker)}, { execArgv: [] }), "exit");
      await openTap({ name: "tap0", downScript: ${script} });
      process.exit(0);`;
    await world.namespace.run(process.execPath, "--input-type=module", "-e", code);
    expect(ran()).toEqual(["down tap1", "down tap0"]);
  });

  test("leaves nothing behind that listens", async (world) => {
    const count = (): number[] =>
      ["SIGTERM", "SIGINT", "exit"].map((n) => process.listenerCount(n));
    const before = count();
    const downScript = makeScript("down");
    for (const name of ["tap0", "tap1"]) {
      const tap = await world.open({ name, downScript });
      await tap.close();
    }
    const tap = await world.open({ name: "tap2", downScript });
    tap.releaseDescriptor();
    expect(count()).toEqual(before);
    expect(ran()).toEqual(["down tap0", "down tap1"]);
  });
});

describeTap("an opening that fails", (test) => {
  const late = { name: "tap0", vhost: true, vhostPath: "/dev/null" } as const;

  test("after the script for the beginning runs the one for the end", async (world) => {
    const scripts = { upScript: makeScript("up"), downScript: makeScript("down") };
    const opening = world.open({ ...late, ...scripts });
    await expect(opening).rejects.toMatchObject({ ...failed, message: /not vhost-net/ });
    expect(ran()).toEqual(["up tap0", "down tap0"]);
  });

  test("and whose script for the end fails, too, says both", async (world) => {
    const downScript = makeScript("down", "echo no way back >&2; exit 4");
    const message = /not vhost-net.*; and the script .*down" for tap0 ended with status 4: no way/;
    const opening = world.open({ ...late, downScript });
    await expect(opening).rejects.toMatchObject({ ...failed, message });
    expect(await world.namespace.run("ip", "link")).not.toContain("tap0");
  });

  test("because the script for the beginning does runs none for the end", async (world) => {
    const scripts = { upScript: makeScript("up", "exit 3"), downScript: makeScript("down") };
    await expect(world.open({ name: "tap0", ...scripts })).rejects.toMatchObject(failed);
    expect(ran()).toEqual(["up tap0"]);
  });

  test("because it is called off meanwhile runs the one for the end", async (world) => {
    const scripts = {
      upScript: makeScript("up", `while [ ! -e "${folder}/go" ]; do sleep 0.05; done`),
      downScript: makeScript("down"),
    };
    const controller = new AbortController();
    const reason = new Error("never mind");
    const opening = world.open({ name: "tap0", ...scripts, signal: controller.signal });
    controller.abort(reason);
    writeFileSync(join(folder, "go"), "");
    await expect(opening).rejects.toBe(reason);
    expect(ran()).toEqual(["up tap0", "down tap0"]);
    expect(await world.namespace.run("ip", "link")).not.toContain("tap0");
  });
});
