/**
 * `slirp-wasm qemu`, with the test in the place of QEMU: its gateway answers ARP.
 */
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { QemuAddress } from "../../src/nics/qemu-address.js";
import { qemuDatagramOptions, qemuStreamOptions } from "../../src/cli/qemu.js";
import { eventually } from "../net-backend-contract/harness.js";
import { CliProcess, runCli } from "../support/cli.js";
import { FakeQemu } from "../support/fake-qemu.js";
import { GUEST_MAC } from "../support/frames.js";

let folder: string;
const running: CliProcess[] = [];
const cleanUp: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "slirp-wasm-cli-"));
});

afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  for (const { child } of running.splice(0)) child.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

/** Starts it and waits until it has printed QEMU's options. */
async function start(...words: string[]): Promise<CliProcess> {
  const cli = new CliProcess(["qemu", ...words]);
  running.push(cli);
  await eventually(() => {
    expect(cli.output + cli.errorOutput).toMatch(/\n$/);
    expect(cli.output, cli.errorOutput).toContain("-netdev");
  });
  return cli;
}

/** Who has 10.0.2.2? Asked by 10.0.2.15. */
function arpRequest(): Uint8Array {
  const head = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...GUEST_MAC, 0x08, 0x06];
  const question = [0, 1, 8, 0, 6, 4, 0, 1, ...GUEST_MAC, 10, 0, 2, 15];
  return Uint8Array.from([...head, ...question, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
}

/** Whether it is the gateway's answer. */
function isArpReply(frame: Uint8Array): boolean {
  return frame[12] === 8 && frame[13] === 6 && frame[21] === 2 && frame[31] === 2;
}

async function connectTo(address: QemuAddress): Promise<FakeQemu> {
  const qemu = await FakeQemu.connect(address);
  cleanUp.push(() => {
    qemu.close();
  });
  return qemu;
}

describe("slirp-wasm qemu", () => {
  it("prints QEMU's options alone on standard output, serves, and ends well by SIGTERM", async () => {
    const path = join(folder, "net.sock");
    const cli = await start("--listen", `unix:${path}`, "--hostfwd", "tcp:127.0.0.1:0-:80");
    expect(cli.output).toMatch(
      /^-netdev stream,id=net0,server=off,addr\.type=unix,addr\.path=\S+ -device virtio-net-pci,netdev=net0,mac=52:54:00(:[0-9a-f]{2}){3}\n$/,
    );
    expect(cli.output).toContain(path);
    expect(cli.errorOutput).toMatch(/forward tcp:127\.0\.0\.1:[1-9]\d*-:80/);
    const qemu = await connectTo({ path });
    qemu.send(arpRequest());
    await eventually(() => {
      expect(qemu.received.some(isArpReply)).toBe(true);
    });
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ status: 0, signal: null });
    await eventually(() => {
      expect(qemu.isClosed).toBe(true);
    });
  });

  it("serves guests on one stack with --shared, over TCP, and ends well by SIGINT", async () => {
    const cli = await start("--listen", "tcp:127.0.0.1:0", "--shared");
    const port = Number(/addr\.port=(\d+)/.exec(cli.output)?.[1]);
    const [one, other] = [
      await connectTo({ host: "127.0.0.1", port }),
      await connectTo({ host: "127.0.0.1", port }),
    ];
    await eventually(() => {
      expect(cli.errorOutput).toContain("guest 2: connected");
    });
    one.send(arpRequest());
    await eventually(() => {
      expect(one.received.some(isArpReply)).toBe(true);
      expect(other.received.map((frame) => frame.slice(0, 42))).toContainEqual(arpRequest());
    });
    cli.kill("SIGINT");
    expect(await cli.ended()).toMatchObject({ status: 0, signal: null });
  });

  it("serves a guest over UDP", async () => {
    const cli = await start("--listen", "udp:127.0.0.1:0", "--dgram");
    const port = Number(/remote\.port=(\d+)/.exec(cli.output)?.[1]);
    const socket = createSocket("udp4");
    cleanUp.push(() => socket.close());
    const received: Uint8Array[] = [];
    socket.on("message", (frame) => received.push(frame));
    socket.send(arpRequest(), port, "127.0.0.1");
    await eventually(() => {
      expect(received.some(isArpReply)).toBe(true);
    });
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ status: 0 });
  });

  it("says what happens in JSON lines with --json", async () => {
    const cli = await start("--json", "--listen", `unix:${join(folder, "net.sock")}`);
    const lines = cli.errorOutput.trim().split("\n");
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({
        name: "slirp-wasm",
        msg: expect.any(String) as string,
      });
    }
    cli.kill("SIGTERM");
    await cli.ended();
  });

  it("fails with status 1 and the rule where a forward's port is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    cleanUp.push(() => taken.close());
    const rule = `tcp:127.0.0.1:${String((taken.address() as AddressInfo).port)}-:80`;
    const cli = new CliProcess(["qemu", "--listen", "tcp:127.0.0.1:0", "--hostfwd", rule]);
    running.push(cli);
    const { status, output, errorOutput } = await cli.ended();
    expect({ status, output }).toEqual({ status: 1, output: "" });
    expect(errorOutput).toMatch(/^slirp-wasm: [^\n]+\n$/);
    expect(errorOutput).toContain(rule);
  });

  it("fails with status 1 where the address is taken", async () => {
    const path = join(folder, "net.sock");
    const taken = createServer().listen(path);
    await once(taken, "listening");
    cleanUp.push(() => taken.close());
    const cli = new CliProcess(["qemu", "--listen", `unix:${path}`]);
    running.push(cli);
    expect(await cli.ended()).toMatchObject({ status: 1 });
    expect(cli.errorOutput).toMatch(/EADDRINUSE/);
  });
});

describe("QEMU's options", () => {
  it("double commas and are quoted where the shell would see more than one word", () => {
    expect(qemuStreamOptions({ path: "/tmp/a,b c" })).toContain(
      "'stream,id=net0,server=off,addr.type=unix,addr.path=/tmp/a,,b c'",
    );
  });

  it("name an address that can be connected to", () => {
    expect(qemuStreamOptions({ host: "0.0.0.0", port: 5 })).toContain("addr.host=127.0.0.1");
    expect(qemuStreamOptions({ host: "::", port: 5 })).toContain("addr.host=::1");
    expect(qemuDatagramOptions({ host: "0.0.0.0", port: 5 })).toContain("remote.host=127.0.0.1");
  });

  it("--capture writes what guests send and get, each an interface", async (ctx) => {
    if (!existsSync("/usr/bin/tshark")) ctx.skip("tshark is not there (Debian package tshark)");
    const [path, file] = [join(folder, "net.sock"), join(folder, "frames.pcapng")];
    const cli = await start("--listen", `unix:${path}`, "--capture", file);
    for (let guest = 0; guest < 2; guest++) {
      const qemu = await connectTo({ path });
      qemu.send(arpRequest());
      await eventually(() => {
        expect(qemu.received.some(isArpReply)).toBe(true);
      });
    }
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ status: 0 });
    const words = ["-n", "-r", file, "-Y", "arp.opcode == 2", "-T", "fields"];
    const fields = ["frame.interface_name", "frame.packet_flags_direction", "arp.src.proto_ipv4"];
    const { stdout } = spawnSync("tshark", [...words, ...fields.flatMap((each) => ["-e", each])], {
      encoding: "utf8",
    });
    expect(new Set(stdout.trim().split("\n"))).toEqual(
      new Set(["guest 1\t0x00000001\t10.0.2.2", "guest 2\t0x00000001\t10.0.2.2"]),
    );
  });

  it("--capture to where nothing can be written is bad use", async () => {
    const words = ["qemu", "--listen", `unix:${join(folder, "s")}`, "--capture", "/none/file"];
    const { status, errorOutput } = await runCli(words);
    expect(status).toBe(2);
    expect(errorOutput).toContain("--capture /none/file");
  });
});
