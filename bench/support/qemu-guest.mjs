// The guest under QEMU of the tests (test/support/qemu-guest.ts), for a program that is not compiled: it is bundled here. The
// bundle goes where the guest's image is two folders up, as it is from test/support.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = fileURLToPath(new URL("../../test/support/qemu-guest.ts", import.meta.url));
const folder = fileURLToPath(new URL("../../build/bench/", import.meta.url));

/** Its exports: `QemuGuest`, `qemuMissing`, `virtioNetDevice`. */
export async function loadQemuGuest() {
  mkdirSync(folder, { recursive: true });
  const outfile = `${folder}qemu-guest.mjs`;
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    logLevel: "error",
  });
  return import(outfile);
}
