// Which kernel modules a guest needs for its NIC, in the order in which they must be loaded, and how
// they are found in what a package brings. The order stands here instead of being worked out by depmod
// and modprobe: the lists are short, and insmod is quicker where every instruction is emulated.

import { readdirSync } from "node:fs";
import { basename, join } from "node:path";

/** NICs on virtio, and what they stand on. */
export const VIRTIO_NET_MODULES = [
  "failover",
  "net_failover",
  "virtio",
  "virtio_ring",
  "virtio_pci_modern_dev",
  "virtio_pci_legacy_dev",
  "virtio_pci",
  "virtio_net",
];

/** The NE2000 on PCI that v86 emulates. */
export const NE2K_MODULES = ["8390", "ne2k-pci"];

/** Random bytes from QEMU, so that the guest does not wait for its own noise. */
export const VIRTIO_RNG_MODULES = ["virtio-rng"];

/**
 * What a guest needs to have TAPs of its own, on vhost-net and in bridges, and slow ways out of them. They lie beside the image, for those
 * who ask: a guest loads all that is in it.
 */
export const TAP_MODULES = [
  "tun",
  "tap",
  "vhost_iotlb",
  "vhost",
  "vhost_net",
  "llc",
  "stp",
  "bridge",
  "sch_tbf",
];

/** Kernel and packages write the same name with either sign. */
const normalize = (name) => name.replaceAll("-", "_");

/**
 * Finds modules among paths.
 *
 * @param {Iterable<string>} paths of everything there is
 * @param {string[]} names without `.ko`
 * @returns {Map<string, string>} the path of each name, in the order of `names`
 * @throws {Error} naming the modules that are not there
 */
export function findModules(paths, names) {
  const byName = new Map();
  for (const path of paths) {
    if (path.endsWith(".ko")) byName.set(normalize(basename(path, ".ko")), path);
  }
  const missing = names.filter((name) => !byName.has(normalize(name)));
  if (missing.length > 0) {
    throw new Error(`the kernel package brings no module ${missing.join(", ")}`);
  }
  return new Map(names.map((name) => [name, byName.get(normalize(name))]));
}

/** Every file below a folder. */
export function listFiles(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}
