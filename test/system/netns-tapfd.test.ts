/**
 * `--netns-type=tapfd`: a TAP that the caller has opened, with and without a virtio-net header before its frames, and handed on to a
 * program that closes itself in.
 */
import { closeSync, openSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadTapAddon, TunFlag } from "../../src/backends/tap-addon.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { NetnsProcess, OURS } from "../support/netns-program.js";

const BYTES = 4_000_000;
const FLAGS = TunFlag.tap | TunFlag.noPacketInformation;

describe.skipIf(WHY_NO_NAMESPACES !== undefined)("a TAP that is open already", () => {
  let guest: GuestNamespace;

  beforeEach(async () => {
    guest = await GuestNamespace.create();
  });

  afterEach(async () => {
    await guest.close();
  });

  /** Its descriptor, here; the interface is up and has an address. */
  async function openTap(flags: number): Promise<number> {
    const addon = loadTapAddon();
    const namespace = openSync(guest.path("net"), "r");
    const fd = addon.openTun("/dev/net/tun", namespace);
    closeSync(namespace);
    addon.setInterface(fd, "tap5", flags);
    await guest.run("ip", "address", "add", "10.0.2.100/24", "dev", "tap5");
    await guest.run("ip", "link", "set", "tap5", "up");
    return fd;
  }

  /** Through the guest's TCP, whose kernel cuts and checks the frames unless it may leave that to the header. */
  async function expectWholeBodies(): Promise<void> {
    await using server = await HostHttpServer.start();
    const base = `http://10.0.2.2:${String(server.port)}`;
    const file = server.randomFile("tapfd", BYTES);
    const fetch = `curl -sS --max-time 60 ${base}${file.path}`;
    expect((await guest.run("sh", "-c", `${fetch} | sha256sum`)).slice(0, 64)).toBe(file.sha256);
    const send = `${fetch} | curl -sS --max-time 60 --data-binary @- ${base}/up`;
    expect(await guest.run("sh", "-c", send)).toBe(`${String(BYTES)} ${file.sha256}\n`);
  }

  for (const [headers, flags] of [
    ["without headers", FLAGS],
    ["with virtio-net headers", FLAGS | TunFlag.header],
  ] as const) {
    for (const confinement of [
      [],
      ["--enable-sandbox"],
      ["--enable-sandbox", "--enable-seccomp"],
    ]) {
      it(`is used, ${headers}, confined: [${confinement.join(" ")}]`, async () => {
        const fd = await openTap(flags);
        try {
          const words = ["--netns-type=tapfd", ...confinement, "5"];
          await using process = await NetnsProcess.start(OURS, words, { fds: [fd] });
          await expectWholeBodies();
          process.hangUp();
          expect((await process.ended()).status).toBe(0);
        } finally {
          closeSync(fd);
        }
      });
    }
  }

  it("stays the caller's when the program has ended", async () => {
    const fd = await openTap(FLAGS | TunFlag.header);
    try {
      for (let round = 0; round < 2; round++) {
        const words = ["--netns-type=tapfd", "5"];
        await using process = await NetnsProcess.start(OURS, words, { fds: [fd] });
        await expectWholeBodies();
        process.child.kill("SIGTERM");
        expect((await process.ended()).signal).toBe("SIGTERM");
        expect(await guest.status("ip", "link", "show", "tap5")).toBe(0);
      }
    } finally {
      closeSync(fd);
    }
  });
});
