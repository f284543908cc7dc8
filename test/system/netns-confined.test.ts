/**
 * What `--enable-sandbox` and `--enable-seccomp` keep a program from, tried within it; and that it is a network all the same.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostHttpServer } from "../support/host/http-server.js";
import { asNobody } from "../support/as-nobody.js";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { askApi, NATIVE, NetnsProcess, OURS } from "../support/netns-program.js";
import { waitUntil } from "../support/wait-until.js";

const PROBE = fileURLToPath(new URL("../support/confinement-probe.mjs", import.meta.url));

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("a program in a namespace", () => {
  let guest: GuestNamespace;
  let folder: string;

  beforeEach(async () => {
    guest = await GuestNamespace.create();
    folder = mkdtempSync(join(tmpdir(), "confined-"));
    writeFileSync(join(folder, "readable"), "secret");
  });

  afterEach(async () => {
    await guest.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const withProbe = (words: readonly string[]): string[] => [
    "env",
    `NODE_OPTIONS=--import=${PROBE}`,
    `PROBE_FOLDER=${folder}`,
    ...words,
  ];

  async function start(words: readonly string[]): Promise<NetnsProcess> {
    const line = ["--configure", ...words, String(guest.pid), "tap0"];
    return NetnsProcess.start(OURS, line, { wrap: withProbe });
  }

  /** What the probe answers. */
  async function probe(process: NetnsProcess): Promise<Record<string, string>> {
    process.child.kill("SIGUSR2");
    const line = /^PROBE (.*)$/m;
    await waitUntil("the probe has answered", () => line.test(process.output));
    return JSON.parse(line.exec(process.output)?.[1] ?? "{}") as Record<string, string>;
  }

  /** A line of /proc/PID/status. */
  function statusOf(process: NetnsProcess, name: string): string | undefined {
    const text = readFileSync(`/proc/${String(process.child.pid)}/status`, "utf8");
    return new RegExp(`^${name}:\\s+(.*)$`, "m").exec(text)?.[1];
  }

  async function expectNetwork(): Promise<void> {
    await using server = await HostHttpServer.start();
    const file = server.randomFile("confined", 2_000_000);
    const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
    const script = `curl -sS --max-time 30 ${url} | sha256sum`;
    expect((await guest.run("sh", "-c", script)).slice(0, 64)).toBe(file.sha256);
  }

  const FREE = {
    startProgram: "done",
    writeFile: "done",
    readFile: "done",
    readConfiguration: "done",
    signalParent: "done",
    startThread: "done",
    lookAtFile: "done",
  };

  it("is free without them", async () => {
    await using process = await start([]);
    expect(await probe(process)).toEqual(FREE);
  });

  it("reads only itself and configuration, and has one capability, in the sandbox", async () => {
    const api = join(folder, "api.sock");
    await using process = await start(["--enable-sandbox", `--api-socket=${api}`]);
    expect(await probe(process)).toEqual({
      ...FREE,
      startProgram: "EACCES",
      writeFile: "EACCES",
      readFile: "EACCES",
      signalParent: "EPERM",
    });
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) {
      expect(statusOf(process, set)).toBe("0000000000000400");
    }
    expect(statusOf(process, "NoNewPrivs")).toBe("1");
    expect(await askApi(api, { execute: "list_hostfwd" })).toMatchObject({ entries: [] });
    await expectNetwork();
    process.hangUp();
    expect((await process.ended()).status).toBe(0);
  });

  it("has no system calls but a network's with seccomp, in any thread", async () => {
    await using process = await start(["--enable-seccomp"]);
    expect(await probe(process)).toEqual({
      ...FREE,
      startProgram: "EPERM",
      writeFile: "EPERM",
      signalParent: "EPERM",
    });
    const threads = `/proc/${String(process.child.pid)}/task`;
    for (const thread of readdirSync(threads)) {
      expect(readFileSync(`${threads}/${thread}/status`, "utf8")).toMatch(/^Seccomp:\s+2$/m);
    }
    await expectNetwork();
  });

  it("dies of a signal with both, and leaves no socket behind", async () => {
    const api = join(folder, "api.sock");
    const words = ["--enable-sandbox", "--enable-seccomp", "-6", `--api-socket=${api}`];
    await using process = await start(words);
    await expectNetwork();
    expect(existsSync(api)).toBe(true);
    process.child.kill("SIGTERM");
    expect(await process.ended()).toMatchObject({ status: null, signal: "SIGTERM" });
    expect(existsSync(api)).toBe(false);
  });

  it("is a network with both, for an ordinary user too", async () => {
    await using own = await GuestNamespace.create({ asUser: true });
    const words = ["-c", "--enable-sandbox", "--enable-seccomp", String(own.pid), "tap0"];
    await using process = await NetnsProcess.start(OURS, words, { wrap: asNobody });
    await using server = await HostHttpServer.start();
    const url = `http://10.0.2.2:${String(server.port)}/random/1000/x`;
    expect(await own.status("curl", "-sf", "--max-time", "30", "-o", "/dev/null", url)).toBe(0);
    expect(statusOf(process, "Seccomp")).toBe("2");
  });

  it.skipIf(!NATIVE)("is a network in slirp4netns's sandbox as well", async () => {
    const words = ["-c", "--enable-sandbox", "--enable-seccomp", String(guest.pid), "tap0"];
    await using process = await NetnsProcess.start(NATIVE!, words);
    expect(statusOf(process, "Seccomp")).toBe("2");
    await expectNetwork();
  });
});
