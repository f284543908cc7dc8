/**
 * The guests come up, without a network, and the agent in them does what it is asked: everything that stands on a guest
 * stands on this.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it, type TestContext } from "vitest";
import type { Guest } from "../../src/cli/guest.js";
import { V86Guest } from "../../src/cli/v86-guest.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";
import { QemuGuest, qemuMissing, virtioNetDevice } from "../support/qemu-guest.js";
import { v86ImageMissing } from "../support/v86-image.js";

/** What a command of the guest takes at most, on a busy machine too. */
const ANSWER_TIMEOUT_MS = 100_000;

const CONTROL_C = 3;
const CONTROL_D = 4;

interface Kind {
  readonly name: string;
  /** The kernel's name for the NIC's driver. */
  readonly driver: string;
  missing(): string | undefined;
  start(): Promise<Guest>;
}

const KINDS: readonly Kind[] = [
  {
    name: "v86 with virtio",
    driver: "virtio_net",
    missing: v86ImageMissing,
    start: () => V86Guest.start({ nic: "virtio" }),
  },
  {
    name: "v86 with ne2k",
    driver: "ne2k-pci",
    missing: v86ImageMissing,
    start: () => V86Guest.start({ nic: "ne2k" }),
  },
  {
    name: "QEMU",
    driver: "virtio_net",
    missing: qemuMissing,
    // A hub with nobody else on it: a NIC without a peer.
    start: () =>
      QemuGuest.start({
        netdev: ["-netdev", "hubport,id=n0,hubid=0", ...virtioNetDevice("n0")],
      }),
  },
];

/** Gathers what a command prints on the console. */
function gatherText() {
  let text = "";
  const waiting: { wanted: string; resolve: () => void }[] = [];
  return {
    get text() {
      return text;
    },
    onOutput(bytes: Uint8Array) {
      text += Buffer.from(bytes).toString("latin1");
      for (const { wanted, resolve } of waiting) if (text.includes(wanted)) resolve();
    },
    /** Resolved once `wanted` has been printed; rejected with what was, when that takes too long. */
    async until(wanted: string) {
      if (text.includes(wanted)) return;
      await new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => {
          reject(
            new Error(`waited for ${JSON.stringify(wanted)}; so far: ${JSON.stringify(text)}`),
          );
        }, ANSWER_TIMEOUT_MS);
        waiting.push({
          wanted,
          resolve: () => {
            clearTimeout(late);
            resolve();
          },
        });
      });
    },
  };
}

describe.each(KINDS)("guest under $name", (kind) => {
  let started: Promise<Guest> | undefined;

  /** Boots are slow: the tests of a kind share one guest. */
  async function getGuest(ctx: TestContext): Promise<Guest> {
    const reason = kind.missing();
    if (reason !== undefined) ctx.skip(reason);
    started ??= kind.start();
    return started;
  }

  afterAll(async () => {
    await (await started)?.stop();
  });

  it("gives a captured command's output, error output and status", async (ctx) => {
    const guest = await getGuest(ctx);
    const captured = await guest.capture("echo hi; echo ouch >&2; exit 3");
    expect(captured.status).toBe(3);
    expect(captured.text).toBe("hi\n");
    expect(Buffer.from(captured.errorOutput).toString()).toBe("ouch\n");
  });

  it("gives much captured output whole", async (ctx) => {
    const guest = await getGuest(ctx);
    const captured = await guest.capture("seq 1 2000");
    const numbers = Array.from({ length: 2000 }, (_, index) => `${index + 1}\n`).join("");
    expect(captured.text).toBe(numbers);
  });

  it("answers several captured commands at once", async (ctx) => {
    const guest = await getGuest(ctx);
    const words = ["a", "b", "c", "d"];
    const captured = await Promise.all(words.map((word) => guest.capture(`echo ${word}`)));
    expect(captured.map(({ text }) => text)).toEqual(words.map((word) => `${word}\n`));
  });

  it("ends a captured command that nobody waits for any more", async (ctx) => {
    const guest = await getGuest(ctx);
    const abort = new AbortController();
    const aborted = expect(guest.capture("sleep 1001", { signal: abort.signal })).rejects;
    abort.abort("enough");
    await aborted.toBe("enough");
    await expect(guest.capture("sleep 1002", { timeoutMs: 500 })).rejects.toMatchObject({
      code: ErrorCode.guestFailed,
    });
    await guest.capture("while ps -o args | grep -qx 'sleep 100[12]'; do sleep 1; done");
  });

  it("passes a console command's bytes unchanged, both ways", async (ctx) => {
    const guest = await getGuest(ctx);
    const output = gatherText();
    const status = await guest.run(String.raw`printf 'a\nb\r\377\000\n'; exit 7`, output);
    expect(status).toBe(7);
    expect(output.text).toBe("a\nb\r\xff\0\n");

    const echoed = gatherText();
    const running = guest.run("echo ready; cat; echo end", echoed);
    await echoed.until("ready\n");
    guest.consoleWrite(Buffer.from("typed\n"));
    await echoed.until("typed\n");
    guest.consoleWrite(Uint8Array.of(CONTROL_D));
    expect(await running).toBe(0);
    expect(echoed.text).toBe("ready\ntyped\nend\n");
  });

  it("runs one console command right after the other, and one at a time", async (ctx) => {
    const guest = await getGuest(ctx);
    for (const status of [0, 1, 2, 3]) expect(await guest.run(`exit ${status}`)).toBe(status);
    const slow = guest.run("sleep 1");
    await expect(guest.run("true")).rejects.toMatchObject({ code: ErrorCode.guestFailed });
    expect(await slow).toBe(0);
  });

  it("interrupts a console command by Ctrl-C", async (ctx) => {
    const guest = await getGuest(ctx);
    const output = gatherText();
    const running = guest.run("echo ready; exec sleep 1003", output);
    await output.until("ready");
    guest.consoleWrite(Uint8Array.of(CONTROL_C));
    expect(await running).toBe(130);
  });

  it("gives a shell with job control on a terminal of the size that was asked for", async (ctx) => {
    const guest = await getGuest(ctx);
    const screen = gatherText();
    const shell = guest.shell({ columns: 91, rows: 37, onOutput: screen.onOutput });
    await screen.until("# ");
    guest.consoleWrite(Buffer.from("stty size; sleep 1004\n"));
    await screen.until("37 91\r\n");
    await guest.capture("until ps -o args | grep -qx 'sleep 1004'; do sleep 1; done", {
      timeoutMs: ANSWER_TIMEOUT_MS,
    });
    guest.consoleWrite(Uint8Array.of(CONTROL_C));
    await screen.until("^C");
    guest.consoleWrite(Buffer.from("exit $(($? + 1))\n"));
    expect(await shell).toBe(131);
  });

  it("has its NIC down until the network is configured, and says when there is no lease", async (ctx) => {
    const guest = await getGuest(ctx);
    const nic = await guest.capture(
      "cat /sys/class/net/eth0/operstate; basename $(readlink /sys/class/net/eth0/device/driver)",
    );
    expect(nic.text).toBe(`down\n${kind.driver}\n`);
    await expect(guest.configureNetwork()).rejects.toThrow(/no lease/);
    const network = await guest.configureNetwork({ ipv4: false });
    expect(network.address).toBeUndefined();
    expect(network.ipv6Addresses).toEqual([]);
    expect(network.macAddress).toMatch(/^52:54:00:/);
  });

  it("tells that it powers itself off, and rejects what is asked of it after", async (ctx) => {
    const guest = await getGuest(ctx);
    await expect(guest.run("poweroff; sleep 1005")).rejects.toMatchObject({
      code: ErrorCode.closed,
    });
    await guest.ended;
    await expect(guest.capture("true")).rejects.toBeInstanceOf(SlirpError);
  });
});

describe("v86 guest", () => {
  it("boots without a saved state", async (ctx) => {
    const reason = v86ImageMissing();
    if (reason !== undefined) ctx.skip(reason);
    const steps: string[] = [];
    const guest = await V86Guest.start({
      nic: "virtio",
      useState: false,
      onProgress: (text) => steps.push(text),
    });
    try {
      expect(guest.wasRestored).toBe(false);
      expect(steps).toEqual([expect.stringContaining("booting")]);
      expect((await guest.capture("uname -m")).text).toBe("i686\n");
    } finally {
      await guest.stop();
    }
  });

  it("is told the time, and given an address of its own, when it is restored", async (ctx) => {
    const reason = v86ImageMissing();
    if (reason !== undefined) ctx.skip(reason);
    const guest = await V86Guest.start({ nic: "virtio", macAddress: "52:54:00:aa:bb:cc" });
    try {
      if (!guest.wasRestored) ctx.skip("there is no saved state; `npm run setup` makes it");
      const { text } = await guest.capture("date +%s; cat /sys/class/net/eth0/address");
      const [seconds, address] = text.trim().split("\n");
      expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(120);
      expect(address).toBe("52:54:00:aa:bb:cc");
    } finally {
      await guest.stop();
    }
  });

  it("says what makes the image when there is none", async () => {
    const start = V86Guest.start({ nic: "virtio", imageDir: "/nonexistent" });
    await expect(start).rejects.toMatchObject({ code: ErrorCode.missingRequirement });
    await expect(start).rejects.toThrow(/npm run setup/);
  });

  it("leaves nothing behind that keeps the process alive once it is stopped", async (ctx) => {
    const reason = v86ImageMissing();
    if (reason !== undefined) ctx.skip(reason);
    const before = process.getActiveResourcesInfo().length;
    const guest = await V86Guest.start({ nic: "virtio" });
    await guest.stop();
    await guest.stop();
    await sleep(100);
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 1);
  });
});
