// Puts a guest's first root file system together: busybox, netcat with the C library it needs (busybox
// has no UDP client), the NIC modules, and the scripts beside this file that make a guest out of them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { CpioWriter } from "./cpio.mjs";

/** Where each script goes. */
const PROGRAMS = {
  init: "init",
  agent: "sbin/agent",
  job: "sbin/job",
  "on-console": "sbin/on-console",
  "dhcp-lease": "sbin/dhcp-lease",
};

const FILES = {
  "etc/passwd": "root::0:0:root:/root:/bin/sh\n",
  "etc/group": "root:x:0:\n",
  "etc/hosts": "127.0.0.1 localhost guest\n::1 localhost\n",
  "etc/nsswitch.conf": "hosts: files dns\n",
  "etc/resolv.conf": "",
};

const FOLDERS = ["dev", "proc", "run", "sys", "tmp", "bin", "root", "var/www"];

/** The console's device number (Documentation/admin-guide/devices.txt in the kernel's source). */
const CONSOLE_DEVICE = [5, 1];

/**
 * The files of the guest that are ours; a change of one of them makes a new image.
 *
 * @param {string} root of the project
 * @returns {string[]} paths
 */
export function guestSources(root) {
  const names = [...Object.keys(PROGRAMS), "profile", "cpio.mjs", "initrd.mjs", "modules.mjs"];
  return [...names, "parts.mjs"].map((name) => join(root, "scripts/guest", name));
}

/**
 * @param {string} root of the project
 * @param {object} parts
 * @param {Map<string, Uint8Array>} parts.files path in the guest to content: programs and libraries
 * @param {Map<string, Uint8Array>} parts.modules module name to content, in the order of loading
 * @returns {Buffer} a cpio archive, compressed by gzip
 */
export function buildInitrd(root, { files, modules }) {
  const archive = new CpioWriter();
  for (const path of FOLDERS) archive.folder(path);
  archive.characterDevice("dev/console", CONSOLE_DEVICE);
  for (const [path, data] of files) archive.file(path, data, 0o755);
  archive.link("bin/sh", "busybox");
  for (const [name, path] of Object.entries(PROGRAMS)) {
    archive.file(path, readFileSync(join(root, "scripts/guest", name)), 0o755);
  }
  archive.file("etc/profile", readFileSync(join(root, "scripts/guest/profile")));
  for (const [path, text] of Object.entries(FILES)) archive.file(path, text);
  for (const [name, data] of modules) archive.file(`lib/modules/${name}.ko`, data);
  archive.file("lib/modules/order", [...modules.keys()].map((name) => `${name}\n`).join(""));
  return gzipSync(archive.toBuffer(), { level: 9 });
}
