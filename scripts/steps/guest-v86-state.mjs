// Boots the guest under v86 once for each NIC and keeps the machine as it is then, so that later starts
// restore it in a second or two instead of booting.

import { rmSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "build/guest/v86";
const NICS = ["virtio", "ne2k"];
/** Packs 38 MB into 14 MB in a second; the highest levels take ten for one MB less. */
const ZSTD_LEVEL = 10;

async function saveState(ctx, nic) {
  const folder = join(ctx.root, FOLDER);
  const state = join(folder, `state-${nic}.bin`);
  // Not the state of one image beside the stamp of another, if this is broken off.
  for (const path of [`${state}.zst`, join(folder, `state-${nic}.json`)])
    rmSync(path, { force: true });
  await ctx.exec(process.execPath, [join(ctx.root, "scripts/guest/save-state.mjs"), nic, folder]);
  ctx.progress(`packing the state of the guest with ${nic}`);
  await ctx.exec("zstd", ["-q", "-f", `-${ZSTD_LEVEL}`, "--rm", state, "-o", `${state}.zst`]);
}

export default {
  name: "guest-v86-state",
  describe: "boot the v86 guest once and keep its state, for quick starts",
  after: ["typescript", "guest-v86"],
  needs: [{ command: "zstd", package: "zstd" }],
  optional: true,

  inputs: () => [
    `${FOLDER}/image.json`,
    "node_modules/v86/package.json",
    "scripts/guest/save-state.mjs",
    "src/cli/guest-machine.ts",
  ],

  outputs: () =>
    NICS.flatMap((nic) => [`${FOLDER}/state-${nic}.bin.zst`, `${FOLDER}/state-${nic}.json`]),

  async run(ctx) {
    await Promise.all(NICS.map((nic) => saveState(ctx, nic)));
  },
};
