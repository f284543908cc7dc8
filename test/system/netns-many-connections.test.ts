/**
 * 10,000 connections of the kernel at once through one `slirp-wasm netns`; and one that may not open so many files, which refuses some and
 * lives. The host is a namespace, too: tens of thousands of ports in TIME_WAIT are nobody else's then.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, type TestContext } from "vitest";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import type { Command } from "../support/iperf.js";
import {
  ConnectionCrowd,
  EchoServer,
  whyNotOpenFiles,
  withOpenFiles,
} from "../support/many-connections.js";
import { NetnsProcess, OURS, waitForIpv6 } from "../support/netns-program.js";
import { NetworkNamespace } from "../support/network-namespace.js";
import { waitUntil } from "../support/wait-until.js";

const MANY = 10_000;
/** Of each process: a socket a connection, and what a program has anyway. */
const OPEN_FILES = MANY + 500;
/** Half of what libslirp's own buffers would take, two of 128 KiB a connection, is too much by far. */
const MOST_MEMORY_BYTES = 500 * 2 ** 20;
/** The host's loopback, and where the guest finds it. */
const HOSTS = { 4: ["127.0.0.1", "10.0.2.2"], 6: ["::1", "fd00::2"] } as const;

let host: NetworkNamespace;
let guest: GuestNamespace;
const opened: { close(): Promise<void> }[] = [];

const onHost: Command = (...words) => host.command(...words).flat();
const inGuest: Command = (...words) => guest.command(...words);

function skipWithout(ctx: TestContext, openFiles: number): void {
  const problem = WHY_NO_NAMESPACES ?? whyNotOpenFiles(openFiles);
  if (problem !== undefined) ctx.skip(problem);
}

function keep<T extends { close(): Promise<void> }>(what: T): T {
  opened.push(what);
  return what;
}

describe("many connections at once", () => {
  beforeEach(async (ctx) => {
    skipWithout(ctx, OPEN_FILES);
    host = keep(await NetworkNamespace.create());
    guest = keep(await GuestNamespace.create());
  });

  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  /** The program, with so many open files, and the guest's IPv6 address there. */
  async function start(openFiles: number): Promise<Watched> {
    const wrap = (words: readonly string[]): readonly string[] =>
      onHost(...withOpenFiles(openFiles, words));
    const line = ["--configure", "--enable-ipv6", String(guest.pid), "tap0"];
    const process = await NetnsProcess.start(OURS, line, { wrap });
    opened.push({ close: () => process.stop() });
    await waitForIpv6(guest);
    return new Watched(process.child.pid ?? -1);
  }

  async function meet(family: 4 | 6): Promise<{ server: EchoServer; crowd: ConnectionCrowd }> {
    const [loopback, gateway] = HOSTS[family];
    const server = keep(await EchoServer.start(onHost, loopback, OPEN_FILES));
    const crowd = ConnectionCrowd.start(inGuest, gateway, server.port, OPEN_FILES);
    return { server, crowd: keep(crowd) };
  }

  it("10,000 are opened, all echo, all end, and everything is given back", async () => {
    const program = await start(OPEN_FILES);
    const before = program.openSockets();
    const peaks: number[] = [];
    for (const family of [4, 6, 4] as const) {
      const { server, crowd } = await meet(family);
      expect(await crowd.open(MANY)).toBe(`opened ${String(MANY)} 0`);
      await waitUntil("the server has them all", () => server.count === MANY);
      expect(program.openSockets()).toBeGreaterThanOrEqual(before + MANY);
      expect(await crowd.echo()).toBe(`echoed ${String(MANY)}`);
      peaks.push(program.memoryBytes());
      expect(await crowd.end()).toBe(`closed ${String(MANY)}`);
      await waitUntil("the server has none any more", () => server.count === 0);
      await waitUntil("the program has no socket more than before", () => {
        return program.openSockets() <= before;
      });
    }
    const [first = Infinity, second = Infinity, third = Infinity] = peaks;
    expect(first).toBeLessThan(MOST_MEMORY_BYTES);
    // What the first ones took serves the others.
    expect(third).toBeLessThan(Math.max(first, second) * 1.4);
  });

  it("those beyond the limit of open files are refused, the others work, and the next as well", async () => {
    const limit = 300;
    const program = await start(limit);
    const { server, crowd } = await meet(4);
    const [, good = 0, failed = 0] = (await crowd.open(400)).split(" ").map(Number);
    expect(good).toBeGreaterThan(200);
    expect(good + failed).toBe(400);
    expect(failed).toBeGreaterThanOrEqual(100);
    expect(await crowd.echo()).toBe(`echoed ${String(good)}`);
    expect(await crowd.end()).toBe(`closed ${String(good)}`);
    await waitUntil("the server has none any more", () => server.count === 0);
    await waitUntil("the program has closed them", () => program.openSockets() < limit / 2);
    expect(await crowd.open(100)).toBe("opened 100 0");
    expect(await crowd.echo()).toBe("echoed 100");
  });
});

function isSocket(descriptor: string): boolean {
  try {
    return readlinkSync(descriptor).startsWith("socket:");
  } catch {
    return false; // closed meanwhile
  }
}

/** What a process takes. */
class Watched {
  constructor(private readonly pid: number) {}

  /** Descriptors of sockets; what holds them together (epoll) is opened with the first and stays. */
  openSockets(): number {
    const folder = `/proc/${String(this.pid)}/fd`;
    return readdirSync(folder).filter((name) => isSocket(join(folder, name))).length;
  }

  /** In memory right now (VmRSS of proc(5)). */
  memoryBytes(): number {
    const status = readFileSync(`/proc/${String(this.pid)}/status`, "latin1");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }
}
