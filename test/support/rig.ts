/**
 * A guest on a stack of ours, whichever NIC joins them: what the scenarios of test/system run on.
 *
 * A kind of rig says how guest and stack are put together; a scenario uses the guest's commands and the stack, and does not
 * know which kind it runs on.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, type TestContext } from "vitest";
import type { Guest } from "../../src/cli/guest.js";
import { V86Guest } from "../../src/cli/v86-guest.js";
import { createSlirp, type CreateSlirpOptions, type Slirp } from "../../src/node.js";
import { listenQemu, OwnBackends } from "../../src/qemu.js";
import { attachV86, type V86Attachment } from "../../src/v86.js";
import { randomMac } from "./mac.js";
import { QemuGuest, qemuMissing, virtioNetDevice } from "./qemu-guest.js";
import { v86ImageMissing } from "./v86-image.js";

/** A guest on a stack, wherever that is. Disposing of it ends both. */
export interface GuestRig extends AsyncDisposable {
  readonly guest: Guest;
  /** What the stack knows, for a test that failed. */
  describe(): string | Promise<string>;
}

/** See the top of the file. */
export interface Rig extends GuestRig {
  readonly slirp: Slirp;
}

/** One way to put a rig together. */
export interface RigKind {
  readonly name: string;
  /** Why it cannot run here, for `ctx.skip`; undefined when it can. */
  missing(): string | undefined;
  start(options?: CreateSlirpOptions): Promise<Rig>;
}

/** A guest under v86, whose NIC can be moved to another stack. */
export interface V86Rig extends Rig {
  readonly guest: V86Guest;
  readonly attachment: V86Attachment;
}

export async function startV86Rig(
  nic: "virtio" | "ne2k",
  options: CreateSlirpOptions = {},
): Promise<V86Rig> {
  const slirp = await createSlirp(options);
  const guest = await V86Guest.start({ nic });
  const attachment = attachV86(guest.emulator, slirp, { nic });
  return {
    guest,
    slirp,
    attachment,
    describe: () => describeStack(slirp),
    async [Symbol.asyncDispose]() {
      attachment.detach();
      await guest.stop();
      await slirp.close();
    },
  };
}

export const V86_VIRTIO: RigKind = {
  name: "v86 with virtio",
  missing: v86ImageMissing,
  start: (options) => startV86Rig("virtio", options),
};

export const V86_NE2K: RigKind = {
  name: "v86 with ne2k",
  missing: v86ImageMissing,
  start: (options) => startV86Rig("ne2k", options),
};

/** QEMU's `-netdev stream` over a unix socket. */
export const QEMU_STREAM: RigKind = {
  name: "QEMU over a unix stream socket",
  missing: qemuMissing,
  async start(options = {}) {
    const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-rig-"));
    const path = join(folder, "net");
    const slirp = await createSlirp(options);
    const server = await listenQemu({
      path,
      backends: new OwnBackends(() => Promise.resolve(slirp)),
    });
    const guest = await QemuGuest.start({ netdev: qemuUnixStream(path) });
    return {
      guest,
      slirp,
      describe: () => describeStack(slirp),
      async [Symbol.asyncDispose]() {
        await guest.stop();
        await server.close();
        await slirp.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

/** QEMU's arguments for a virtio NIC that connects to a unix socket. */
export function qemuUnixStream(path: string): string[] {
  const netdev = `stream,id=n0,server=off,addr.type=unix,addr.path=${path}`;
  return ["-netdev", netdev, ...virtioNetDevice("n0", `mac=${randomMac()}`)];
}

/**
 * One rig for all tests of a `describe` block: started before them, ended after them. To be called in the block.
 *
 * @returns for a test: its rig, or a skip by name where the machine lacks what it needs. When the test fails, what the stack
 *   knows is printed.
 */
export function shareRig<SomeRig extends GuestRig>(
  missing: () => string | undefined,
  start: () => Promise<SomeRig>,
): (ctx: TestContext) => SomeRig {
  let rig: SomeRig | undefined;
  beforeAll(async () => {
    if (missing() === undefined) rig = await start();
  });
  afterAll(async () => {
    await rig?.[Symbol.asyncDispose]();
  });
  return (ctx) => {
    const reason = missing();
    if (reason !== undefined) ctx.skip(reason);
    const shared = rig;
    if (!shared) throw new Error("the rig was not started");
    ctx.onTestFailed(async () => {
      console.error(await shared.describe());
    });
    return shared;
  };
}

function describeStack(slirp: Slirp): string {
  const counters = JSON.stringify(slirp.statistics());
  const list = (each: object): string => JSON.stringify(each);
  return [...slirp.connections().map(list), ...slirp.sockets().map(list), counters].join("\n");
}
