// Makes the guest that runs under v86: Debian's 32-bit installer kernel (it is small, and its own initrd
// brings the modules of both NICs that v86 has), SeaBIOS, and an initrd of ours.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readCpio } from "../guest/cpio.mjs";
import { buildInitrdOf, GUEST_STEP } from "../guest/guest-step.mjs";
import { findModules, NE2K_MODULES, VIRTIO_NET_MODULES } from "../guest/modules.mjs";
import { fetchParts, PROGRAM_PACKAGES, programFiles, readPrograms } from "../guest/parts.mjs";

const FOLDER = "build/guest/v86";
const KERNEL_PACKAGE = "debian-installer-12-netboot-i386";
const KERNEL_FOLDER = "usr/lib/debian-installer/images/12/i386/text/debian-installer/i386";
const BIOS_FOLDER = "usr/share/seabios";
const MODULES = [...VIRTIO_NET_MODULES, ...NE2K_MODULES];
const PROGRAMS = programFiles({ triplet: "i386-linux-gnu", loader: "lib/ld-linux.so.2" });

/**
 * What the kernel is told. The machine is emulated, so whatever probes for hardware that v86 has not,
 * guards against neighbours on the same CPU or checks itself is left out: it halves the time to boot.
 */
const COMMAND_LINE = [
  "console=ttyS0 agent=ttyS1 quiet loglevel=0",
  // v86's cycle counter is steady; calibrating it takes a second.
  "tsc=reliable",
  "mitigations=off nokaslr nowatchdog audit=0 apparmor=0 init_on_alloc=0",
  // The emulated CPU's random numbers come from the host's.
  "random.trust_cpu=on",
  "cryptomgr.notests",
  "noisapnp pnpbios=off acpi=off",
  "initcall_blacklist=init_kprobe_trace,load_system_certificate_list,crypto_kdf108_init," +
    "init_tracepoints,iosf_mbi_init,perf_event_sysfs_init",
].join(" ");

/** Its files, by the keys under which image.json names them. */
const IMAGE_FILES = {
  kernel: "bzImage",
  initrd: "initrd",
  bios: "bios.bin",
  vgaBios: "vgabios.bin",
};

/** What is kept of the unpacked packages. */
function collectParts(folderOf) {
  const kernelFile = (name) => readFileSync(join(folderOf(KERNEL_PACKAGE), KERNEL_FOLDER, name));
  const biosFile = (name) => readFileSync(join(folderOf("seabios"), BIOS_FOLDER, name));
  const installer = new Map();
  for (const { path, data } of readCpio(gunzipSync(kernelFile("initrd.gz")))) {
    installer.set(path, data);
  }
  const modules = [...findModules(installer.keys(), MODULES)];
  return new Map([
    ["kernel", kernelFile("linux")],
    ["bios", biosFile("bios.bin")],
    ["vgaBios", biosFile("vgabios-stdvga.bin")],
    ...modules.map(([name, path]) => [`modules/${name}`, installer.get(path)]),
    ...readPrograms(PROGRAMS, folderOf, "programs/"),
  ]);
}

/** v86 copies the kernel in words of four bytes and stops at a length that is not a multiple. */
function padToWord(data) {
  return Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}

function hashImage(files) {
  const hash = createHash("sha256").update(COMMAND_LINE);
  for (const data of Object.values(files)) hash.update(data);
  return hash.digest("hex");
}

export default {
  name: "guest-v86",
  describe: "guest for v86 (32-bit Linux) out of Debian packages",
  ...GUEST_STEP,

  outputs: (ctx) =>
    [...Object.values(IMAGE_FILES), "image.json"].map((name) => join(ctx.root, FOLDER, name)),

  async run(ctx) {
    const packages = [KERNEL_PACKAGE, "seabios", ...PROGRAM_PACKAGES];
    const parts = await fetchParts(ctx, {
      name: "i386",
      architecture: "i386",
      packages: () => packages,
      collect: collectParts,
      key: JSON.stringify([packages, MODULES, PROGRAMS]),
    });
    const initrd = buildInitrdOf(ctx, parts);
    const files = {
      kernel: padToWord(parts.get("kernel")),
      initrd,
      bios: parts.get("bios"),
      vgaBios: parts.get("vgaBios"),
    };
    const folder = join(ctx.root, FOLDER);
    mkdirSync(folder, { recursive: true });
    for (const [key, data] of Object.entries(files)) {
      writeFileSync(join(folder, IMAGE_FILES[key]), data);
    }
    const image = { id: hashImage(files), commandLine: COMMAND_LINE, files: IMAGE_FILES };
    writeFileSync(join(folder, "image.json"), JSON.stringify(image, undefined, 2) + "\n");
  },
};
