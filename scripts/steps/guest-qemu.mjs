// Makes the guest that runs under QEMU: Debian's 64-bit kernel for clouds (unpacked, never installed) and
// an initrd of ours. Its agent listens on the second serial port, as that of the guest under v86.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildInitrdOf, GUEST_STEP } from "../guest/guest-step.mjs";
import {
  findModules,
  listFiles,
  TAP_MODULES,
  VIRTIO_NET_MODULES,
  VIRTIO_RNG_MODULES,
} from "../guest/modules.mjs";
import {
  fetchParts,
  partsBelow,
  PROGRAM_PACKAGES,
  programFiles,
  readPrograms,
} from "../guest/parts.mjs";

const FOLDER = "build/guest/qemu";
/** Depends on the kernel of the day, whose name has its version. */
const KERNEL_META_PACKAGE = "linux-image-cloud-amd64";
const MODULES = [...VIRTIO_NET_MODULES, ...VIRTIO_RNG_MODULES];
/** Where the modules lie that are not in the image, one file each. */
const EXTRA_FOLDER = "modules";
const PROGRAMS = programFiles({
  triplet: "x86_64-linux-gnu",
  loader: "lib64/ld-linux-x86-64.so.2",
});

const COMMAND_LINE = [
  "console=ttyS0 agent=ttyS1 quiet loglevel=0 panic=-1",
  // Emulated as well, so what guards or checks itself is left out here too.
  "mitigations=off nokaslr nowatchdog audit=0 apparmor=0 cryptomgr.notests random.trust_cpu=on",
  // QEMU's emulation calibrates badly on a loaded machine, and the kernel would then doubt its clock.
  "tsc=reliable no_timer_check",
].join(" ");

/** The name of the package that `KERNEL_META_PACKAGE` stands for today. */
async function findKernelPackage(apt) {
  const { stdout } = await apt.aptCache(["depends", `${KERNEL_META_PACKAGE}:amd64`]);
  const name = /Depends: (linux-image-[\w.+-]*cloud-amd64)/.exec(stdout)?.[1];
  if (name === undefined) {
    throw new Error(`apt-cache names no kernel that ${KERNEL_META_PACKAGE} depends on`);
  }
  return name;
}

function collectParts(folderOf, kernelPackage) {
  const kernelFolder = folderOf(kernelPackage);
  const boot = join(kernelFolder, "boot");
  const image = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw new Error(`the package ${kernelPackage} has no vmlinuz in /boot`);
  const all = listFiles(join(kernelFolder, "lib/modules"));
  const modules = [...findModules(all, MODULES)];
  const extra = [...findModules(all, TAP_MODULES)];
  return new Map([
    ["kernel", readFileSync(join(boot, image))],
    ...modules.map(([name, path]) => [`modules/${name}`, readFileSync(path)]),
    ...extra.map(([name, path]) => [`extra/${name}`, readFileSync(path)]),
    ...readPrograms(PROGRAMS, folderOf, "programs/"),
  ]);
}

export default {
  name: "guest-qemu",
  describe: "guest for QEMU (64-bit Linux) out of Debian packages",
  ...GUEST_STEP,

  outputs: (ctx) =>
    ["vmlinuz", "initrd", EXTRA_FOLDER, "image.json"].map((name) => join(ctx.root, FOLDER, name)),

  async run(ctx) {
    let kernelPackage = "";
    const parts = await fetchParts(ctx, {
      name: "amd64",
      architecture: "amd64",
      packages: async (apt) => {
        kernelPackage = await findKernelPackage(apt);
        return [kernelPackage, ...PROGRAM_PACKAGES];
      },
      collect: (folderOf) => collectParts(folderOf, kernelPackage),
      key: JSON.stringify([KERNEL_META_PACKAGE, PROGRAM_PACKAGES, MODULES, TAP_MODULES, PROGRAMS]),
    });
    const folder = join(ctx.root, FOLDER);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "vmlinuz"), parts.get("kernel"));
    const initrd = buildInitrdOf(ctx, parts);
    writeFileSync(join(folder, "initrd"), initrd);
    const extra = join(folder, EXTRA_FOLDER);
    rmSync(extra, { recursive: true, force: true });
    mkdirSync(extra);
    for (const [name, data] of partsBelow(parts, "extra/")) {
      writeFileSync(join(extra, `${name}.ko`), data);
    }
    const image = { commandLine: COMMAND_LINE };
    writeFileSync(join(folder, "image.json"), JSON.stringify(image, undefined, 2) + "\n");
  },
};
