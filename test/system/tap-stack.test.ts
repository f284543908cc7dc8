/**
 * A stack behind a TAP: for the kernel of a namespace as its guest, for several of them in a bridge, and for a guest under QEMU that has
 * its own TAP in that bridge.
 */
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, type TestContext } from "vitest";
import { BackendCable } from "../../src/nics/backend-cable.js";
import { createSlirp, type Slirp } from "../../src/node.js";
import { openTap, type TapBackend } from "../../src/tap.js";
import { ROOT } from "../house/scratch.js";
import { fetchedHash, makeRandomFile, succeed } from "../support/guest-commands.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { transferByKernel } from "../support/kernel-transfer.js";
import { NetworkNamespace, whyNoTap } from "../support/network-namespace.js";
import { QemuGuest, qemuMissing, virtioNetDevice } from "../support/qemu-guest.js";

const MIB = 1024 * 1024;
/** The guest image's busybox, which has a DHCP client. */
const BUSYBOX = join(ROOT, "build/guest/parts/amd64/programs/bin/busybox");

let server: HostHttpServer;
const opened: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  server = await HostHttpServer.start();
});

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
  await server[Symbol.asyncDispose]();
});

function keep<T extends { close(): Promise<void> }>(what: T): T {
  opened.push(what);
  return what;
}

function skipWithoutTap(ctx: TestContext): void {
  const reason = whyNoTap();
  if (reason !== undefined) ctx.skip(reason);
}

/** Lays a cable between a TAP and a stack of its own. */
async function giveStack(tap: TapBackend): Promise<Slirp> {
  const slirp = keep(await createSlirp());
  const cable = new BackendCable(tap, slirp);
  opened.push({
    close: async () => {
      cable.close();
    },
  });
  return slirp;
}

/** SHA-256 of what curl gets in the namespace. */
async function fetchHash(
  namespace: NetworkNamespace,
  path: string,
  host = "10.0.2.2",
): Promise<string> {
  const url = `http://${host}:${String(server.port)}${path}`;
  const script = 'curl -sS --globoff --max-time 120 "$0" | sha256sum';
  return (await namespace.run("sh", "-c", script, url)).slice(0, 64);
}

for (const mtuBytes of [1500, 9000]) {
  it(`the kernel of a namespace fetches and sends through a stack at MTU ${String(mtuBytes)}`, async (ctx) => {
    skipWithoutTap(ctx);
    const namespace = keep(await NetworkNamespace.create());
    const tap = keep(
      await openTap({
        name: "tap0",
        namespace: namespace.path,
        mtuBytes,
        addresses: ["10.0.2.100/24"],
        gateways: ["10.0.2.2"],
      }),
    );
    await giveStack(tap);
    const file = server.randomFile("large", 32 * MIB);
    expect(await fetchHash(namespace, file.path)).toBe(file.sha256);
    const upload = `head -c ${String(16 * MIB)} /dev/urandom > "$1/body"
      sha256sum < "$1/body"; curl -sS --max-time 120 -T "$1/body" "$0"`;
    const folder = mkdtempSync(join(tmpdir(), "upload-"));
    const url = `http://10.0.2.2:${String(server.port)}/upload`;
    const lines = (await namespace.run("sh", "-c", upload, url, folder)).trim().split("\n");
    rmSync(folder, { recursive: true });
    expect(lines[1]).toBe(`${String(16 * MIB)} ${lines[0]?.slice(0, 64) ?? ""}`);
    expect(tap.statistics()).toMatchObject({ droppedFromGuest: 0, droppedToGuest: 0 });
  });
}

it("the kernel of a namespace gets its address by DHCP", async (ctx) => {
  skipWithoutTap(ctx);
  if (!existsSync(BUSYBOX))
    ctx.skip("the guest image's busybox is not there; `npm run setup` makes it");
  const namespace = keep(await NetworkNamespace.create());
  const tap = keep(await openTap({ name: "tap0", namespace: namespace.path, up: true }));
  await giveStack(tap);
  const folder = mkdtempSync(join(tmpdir(), "dhcp-"));
  const script = join(folder, "script");
  writeFileSync(
    script,
    `#!/bin/sh
    [ "$1" = bound ] || exit 0
    ip address add "$ip/$mask" dev "$interface" && ip route add default via "$router"\n`,
    { mode: 0o755 },
  );
  // What is unpacked for the image is not made to be run here.
  const busybox = join(folder, "busybox");
  copyFileSync(BUSYBOX, busybox);
  chmodSync(busybox, 0o755);
  await namespace.run(busybox, "udhcpc", "-i", "tap0", "-n", "-q", "-f", "-t", "10", "-s", script);
  rmSync(folder, { recursive: true });
  expect(await namespace.run("ip", "-o", "address", "show", "tap0")).toContain("10.0.2.15/24");
  const file = server.randomFile("leased", MIB);
  expect(await fetchHash(namespace, file.path)).toBe(file.sha256);
});

/** A bridge with the stack behind one of its TAPs. */
async function makeBridge(): Promise<NetworkNamespace> {
  const namespace = keep(await NetworkNamespace.create());
  await namespace.ip(`
    link add bridge0 type bridge mcast_snooping 0 forward_delay 0
    link set bridge0 up`);
  const tap = keep(await openTap({ name: "stack0", namespace: namespace.path, bridge: "bridge0" }));
  await giveStack(tap);
  return namespace;
}

it("two kernels in a bridge share a stack, and reach each other", async (ctx) => {
  skipWithoutTap(ctx);
  const middle = await makeBridge();
  const guests: NetworkNamespace[] = [];
  for (const i of [0, 1]) {
    const guest = keep(await NetworkNamespace.create());
    guests.push(guest);
    await middle.ip(`
      link add port${String(i)} type veth peer name eth0 netns ${String(guest.pid)}
      link set port${String(i)} master bridge0 up`);
    await guest.ip(`
      address add 10.0.2.${String(20 + i)}/24 dev eth0
      link set eth0 up
      route add default via 10.0.2.2`);
  }
  const files = guests.map((_, i) => server.randomFile(`guest-${String(i)}`, 4 * MIB));
  const hashes = guests.map((guest, i) => fetchHash(guest, files[i]?.path ?? ""));
  expect(await Promise.all(hashes)).toEqual(files.map(({ sha256 }) => sha256));
  const [client, serving] = guests as [NetworkNamespace, NetworkNamespace];
  const parts = { client, server: serving, host: "10.0.2.21", port: 5000, megabytes: 2 };
  expect(await transferByKernel(parts)).toMatch(/^2097152 /);
});

it("a guest under QEMU on -netdev tap,fd= shares the bridge with the stack's TAP", async (ctx) => {
  skipWithoutTap(ctx);
  const reason = qemuMissing();
  if (reason !== undefined) ctx.skip(reason);
  const namespace = await makeBridge();
  const tap = await openTap({ name: "qemu0", namespace: namespace.path, bridge: "bridge0" });
  // From here on it is QEMU's: header, offloads and all.
  const descriptor = tap.releaseDescriptor();
  const guest = await QemuGuest.start({
    descriptor,
    netdev: ["-netdev", "tap,id=n0,fd=3,vhost=off", ...virtioNetDevice("n0")],
  });
  try {
    expect(await guest.configureNetwork()).toMatchObject({ address: "10.0.2.15" });
    const file = server.randomFile("qemu", 8 * MIB);
    const base = `http://10.0.2.2:${String(server.port)}`;
    expect(await fetchedHash(guest, base + file.path)).toBe(file.sha256);
    const sha256 = await makeRandomFile(guest, "/tmp/upload", MIB);
    const head = `PUT /upload HTTP/1.1\\r\\nHost: host\\r\\nContent-Length: ${String(MIB)}\\r\\nConnection: close\\r\\n\\r\\n`;
    const answer = await succeed(
      guest,
      `{ printf '${head}'; cat /tmp/upload; } | nc 10.0.2.2 ${String(server.port)}`,
    );
    expect(answer.split("\n").at(-1)).toBe(`${String(MIB)} ${sha256}`);
  } finally {
    await guest.stop();
  }
});
