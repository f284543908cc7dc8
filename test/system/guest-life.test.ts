/** What happens to a guest's network in the course of its life: the machine set back to an earlier state, a slow reader. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { HostHttpServer } from "../support/host/http-server.js";
import { fetchedHash, hashIn, succeed } from "../support/guest-commands.js";
import {
  QEMU_STREAM,
  shareRig,
  startV86Rig,
  V86_VIRTIO,
  type RigKind,
  type V86Rig,
} from "../support/rig.js";
import { v86ImageMissing } from "../support/v86-image.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;

describe("a v86 guest that is set back to an earlier state", () => {
  const rigOf = shareRig<V86Rig>(v86ImageMissing, () => startV86Rig("virtio"));

  it("has its network again, whatever was under way", async (ctx) => {
    const { guest, slirp } = rigOf(ctx);
    await using server = await HostHttpServer.start();
    const url = `http://10.0.2.2:${String(server.port)}`;
    const file = server.randomFile("before", MIB);
    await guest.configureNetwork();
    expect(await fetchedHash(guest, url + file.path)).toBe(file.sha256);

    const endless = `/random/${String(1024 * MIB)}/endless`;
    await succeed(guest, `wget -q -O /dev/null '${url}${endless}' >/dev/null 2>&1 &`);
    await waitUntil("the transfer is under way", () => server.requests.length === 2);
    const state = await guest.saveState();
    const sentBytes = slirp.statistics().bytesToGuest;
    await waitUntil("it has gone on", () => slirp.statistics().bytesToGuest > sentBytes + MIB);
    await guest.emulator.stop();
    await guest.emulator.restore_state(state.slice().buffer);
    await guest.emulator.run();

    // The guest that was restored goes on with a connection whose bytes it has forgotten; that one is lost. (v86 0.5.462
    // leaves the timer of a guest that is set back while it lives standing: so nothing here waits in the guest.)
    await succeed(guest, "killall wget");
    const after = server.randomFile("after", MIB);
    expect(await fetchedHash(guest, url + after.path)).toBe(after.sha256);
    expect(await succeed(guest, "ping -c 1 10.0.2.2")).toContain("1 packets received");
  });
});

/** Twice what the kernel's socket buffers, libslirp's and the guest's can hold together. */
const SLOW_BYTES = 48 * MIB;
/** What the whole process may grow by while the guest does not read: garbage of the body's making included. */
const GROWTH_BYTES = 24 * MIB;

describe.each<RigKind>([V86_VIRTIO, QEMU_STREAM])("a slow reader under $name", (kind) => {
  const rigOf = shareRig(
    () => kind.missing(),
    () => kind.start(),
  );
  it("costs bounded memory, and gets everything in the end", async (ctx) => {
    const { guest, slirp } = rigOf(ctx);
    await using server = await HostHttpServer.start();
    await guest.configureNetwork();
    const file = server.randomFile("slow", SLOW_BYTES);
    const url = `http://10.0.2.2:${String(server.port)}${file.path}`;
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const reading = succeed(
      guest,
      `rm -f /tmp/go; wget -q -O - '${url}' | { until [ -f /tmp/go ]; do sleep 0.2; done; sha256sum; }`,
    );
    await waitUntil("nothing moves any more", async () => {
      const sentBytes = server.sentBytes;
      await sleep(3000);
      most = Math.max(most, process.memoryUsage().arrayBuffers);
      return server.sentBytes > 0 && server.sentBytes === sentBytes;
    });
    expect(server.sentBytes).toBeLessThan(SLOW_BYTES);
    expect(most - before).toBeLessThan(GROWTH_BYTES);
    expect(slirp.memoryBytes).toBeLessThan(16 * MIB);
    await succeed(guest, "touch /tmp/go");
    expect(hashIn(await reading)).toBe(file.sha256);
  });
});
