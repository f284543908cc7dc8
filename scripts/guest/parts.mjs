// Gets what a guest image is made of out of Debian packages, and keeps only that: of the 105 MB that
// hold the 32-bit kernel, 7 MB are needed. What was kept is found again by a later run, so that a change
// of our own scripts makes a new image without a network.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { withPrivateApt } from "../apt.mjs";

/** The release that the kernels and programs of the guests come from. */
const SUITE = "bookworm";

/**
 * Programs and libraries of every guest, by the path they have in the guest and in their package.
 *
 * @param {{ triplet: string, loader: string }} architecture Debian's name for the library folder, and
 *   the path of the dynamic loader that programs ask for
 */
export function programFiles({ triplet, loader }) {
  const library = `lib/${triplet}`;
  return {
    "bin/busybox": ["busybox-static", "bin/busybox"],
    "bin/nc.openbsd": ["netcat-openbsd", "bin/nc.openbsd"],
    [loader]: ["libc6", `${library}/${basename(loader)}`],
    [`${library}/libc.so.6`]: ["libc6", `${library}/libc.so.6`],
    [`${library}/libresolv.so.2`]: ["libc6", `${library}/libresolv.so.2`],
    [`${library}/libbsd.so.0`]: ["libbsd0", `usr/${library}/libbsd.so.0`],
    [`${library}/libmd.so.0`]: ["libmd0", `usr/${library}/libmd.so.0`],
  };
}

/** Names of the packages that {@link programFiles} takes from. */
export const PROGRAM_PACKAGES = ["busybox-static", "netcat-openbsd", "libc6", "libbsd0", "libmd0"];

/**
 * Gives the parts of one guest image, from the folder where they are kept or from Debian.
 *
 * @param {object} ctx set-up's context
 * @param {object} options
 * @param {string} options.name folder under build/guest/parts
 * @param {string} options.architecture Debian's name
 * @param {(apt: object) => string[] | Promise<string[]>} options.packages names to download
 * @param {(folderOf: (name: string) => string) => Map<string, Uint8Array>} options.collect what to keep
 *   of the unpacked packages, by path within the parts; `folderOf` tells where a package is
 * @param {string} options.key changes when other parts are wanted than those that may be kept already
 * @returns {Promise<Map<string, Buffer>>} the parts
 */
export async function fetchParts(ctx, { name, architecture, packages, collect, key }) {
  const folder = join(ctx.root, "build/guest/parts", name);
  const index = join(folder, "parts.json");
  if (!existsSync(index) || JSON.parse(readFileSync(index, "utf8")).key !== key) {
    rmSync(folder, { recursive: true, force: true });
    const parts = await unpackParts(ctx, { name, architecture, packages, collect });
    for (const [path, data] of parts) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), data);
    }
    // Written last: a run that was broken off before has no index and starts anew.
    writeFileSync(index, JSON.stringify({ key, paths: [...parts.keys()] }, undefined, 2) + "\n");
  }
  const { paths } = JSON.parse(readFileSync(index, "utf8"));
  return new Map(paths.map((path) => [path, readFileSync(join(folder, path))]));
}

async function unpackParts(ctx, { name, architecture, packages, collect }) {
  if (!ctx.has("dpkg-deb")) {
    throw new Error("dpkg-deb is not on PATH: Debian packages are unpacked with it (package dpkg)");
  }
  const selection = { name, suites: [SUITE], architectures: [architecture] };
  return withPrivateApt(ctx, selection, async (apt) => {
    const names = await packages(apt);
    const scratch = join(ctx.root, "build/guest/parts", `${name}.unpacked`);
    rmSync(scratch, { recursive: true, force: true });
    const folders = new Map(names.map((each) => [each, join(scratch, each)]));
    for (const each of names) {
      ctx.progress(`downloading ${each}`);
      const [file] = await apt.download([qualify(each, architecture)]);
      ctx.progress(`unpacking ${each}`);
      mkdirSync(folders.get(each), { recursive: true });
      await ctx.exec("dpkg-deb", ["-x", file, folders.get(each)]);
      rmSync(file);
    }
    const parts = collect((each) => folders.get(each));
    rmSync(scratch, { recursive: true, force: true });
    return parts;
  });
}

/** A package for every architecture is asked for by its bare name. */
function qualify(name, architecture) {
  return /^(seabios|debian-installer-)/.test(name) ? name : `${name}:${architecture}`;
}

/**
 * Reads the programs of {@link programFiles} from unpacked packages.
 *
 * @param {Record<string, [string, string]>} files
 * @param {(name: string) => string} folderOf
 * @param {string} prefix of the paths within the parts
 * @returns {Map<string, Buffer>}
 */
export function readPrograms(files, folderOf, prefix) {
  return new Map(
    Object.entries(files).map(([path, [name, source]]) => [
      prefix + path,
      readFileSync(join(folderOf(name), source)),
    ]),
  );
}

/** The parts below `prefix`, by the rest of their paths. */
export function partsBelow(parts, prefix) {
  const below = [...parts].filter(([path]) => path.startsWith(prefix));
  return new Map(below.map(([path, data]) => [path.slice(prefix.length), data]));
}
