/**
 * QEMU's other ways to a network, and several guests at once: a lease and a transfer each show that frames go both ways.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import type { Guest } from "../../src/cli/guest.js";
import { createSlirp, type Slirp } from "../../src/node.js";
import { listenQemu, openQemuDatagram, OwnBackends, SharedBackend } from "../../src/qemu.js";
import { fetchedHash } from "../support/guest-commands.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { HostUdpEcho } from "../support/host/udp-echo.js";
import { QemuGuest, qemuMissing, virtioNetDevice } from "../support/qemu-guest.js";
import { qemuUnixStream } from "../support/rig.js";

const FILE_BYTES = 4 * 1024 * 1024;

function skipWithoutQemu(ctx: TestContext): void {
  const reason = qemuMissing();
  if (reason !== undefined) ctx.skip(reason);
}

/** Fetches a file of its own from the host, and compares. */
async function expectFetch(guest: Guest, server: HostHttpServer, name: string): Promise<void> {
  const file = server.randomFile(name, FILE_BYTES);
  const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
  expect(await fetchedHash(guest, url)).toBe(file.sha256);
}

/** A UDP port of loopback that was just free. */
async function freeUdpPort(): Promise<number> {
  await using echo = await HostUdpEcho.start("127.0.0.1");
  return echo.port;
}

describe("a guest under QEMU", () => {
  it("gets on the network over -netdev dgram", async (ctx) => {
    skipWithoutQemu(ctx);
    await using server = await HostHttpServer.start();
    await using slirp = await createSlirp();
    const guestPort = await freeUdpPort();
    await using nic = await openQemuDatagram({
      local: { host: "127.0.0.1", port: 0 },
      remote: { host: "127.0.0.1", port: guestPort },
      backend: slirp,
    });
    const ends = [
      `local.type=inet,local.host=127.0.0.1,local.port=${String(guestPort)}`,
      `remote.type=inet,remote.host=127.0.0.1,remote.port=${String(nic.local.port)}`,
    ];
    await using guest = await QemuGuest.start({
      netdev: ["-netdev", `dgram,id=n0,${ends.join(",")}`, ...virtioNetDevice("n0")],
    });
    expect(await guest.configureNetwork()).toMatchObject({ address: "10.0.2.15" });
    await expectFetch(guest, server, "dgram");
  });

  it("gets on the network over -netdev socket, by TCP", async (ctx) => {
    skipWithoutQemu(ctx);
    await using server = await HostHttpServer.start();
    await using slirp = await createSlirp();
    await using listener = await listenQemu({
      host: "127.0.0.1",
      port: 0,
      backends: new OwnBackends(() => Promise.resolve(slirp)),
    });
    const { address } = listener;
    if ("path" in address) throw new Error("not a TCP port");
    const connect = `127.0.0.1:${String(address.port)}`;
    await using guest = await QemuGuest.start({
      netdev: ["-netdev", `socket,id=n0,connect=${connect}`, ...virtioNetDevice("n0")],
    });
    expect(await guest.configureNetwork()).toMatchObject({ address: "10.0.2.15" });
    await expectFetch(guest, server, "socket");
  });
});

describe("two guests under QEMU at one server", () => {
  it("have a stack each, where that is asked for", async (ctx) => {
    skipWithoutQemu(ctx);
    await using folder = await socketFolder();
    await using server = await HostHttpServer.start();
    const stacks: Slirp[] = [];
    const backends = new OwnBackends(async () => {
      const slirp = await createSlirp();
      stacks.push(slirp);
      return slirp;
    });
    await using guests = await startTwo(folder.path, backends);
    const leases = await Promise.all(guests.both.map((guest) => guest.configureNetwork()));
    expect(leases.map(({ address }) => address)).toEqual(["10.0.2.15", "10.0.2.15"]);
    await Promise.all(
      guests.both.map((guest, index) => expectFetch(guest, server, `own-${String(index)}`)),
    );
    expect(stacks).toHaveLength(2);
    for (const stack of stacks) {
      expect(stack.statistics().bytesToGuest).toBeGreaterThan(FILE_BYTES);
    }
  });

  it("share one stack, where that is asked for, and reach each other", async (ctx) => {
    skipWithoutQemu(ctx);
    await using folder = await socketFolder();
    await using server = await HostHttpServer.start();
    await using slirp = await createSlirp();
    await using guests = await startTwo(folder.path, new SharedBackend(slirp));
    const leases = await Promise.all(guests.both.map((guest) => guest.configureNetwork()));
    const addresses = leases.map(({ address }) => address);
    expect([...addresses].sort()).toEqual(["10.0.2.15", "10.0.2.16"]);
    await Promise.all(
      guests.both.map((guest, index) => expectFetch(guest, server, `shared-${String(index)}`)),
    );
    const ping = await guests.both[0].capture(`ping -c 2 -W 60 ${String(addresses[1])}`);
    expect(ping.text).toContain("2 packets received");
  });
});

async function socketFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "slirp-wasm-guests-"));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** A server at a unix socket and two guests that connect to it. */
async function startTwo(
  folder: string,
  backends: OwnBackends | SharedBackend,
): Promise<AsyncDisposable & { readonly both: readonly [QemuGuest, QemuGuest] }> {
  const path = join(folder, "net");
  const server = await listenQemu({ path, backends });
  const start = () => QemuGuest.start({ netdev: qemuUnixStream(path) });
  const both = await Promise.all([start(), start()]);
  return {
    both,
    async [Symbol.asyncDispose]() {
      await Promise.all(both.map((guest) => guest.stop()));
      await server.close();
      await backends.close();
    },
  };
}
