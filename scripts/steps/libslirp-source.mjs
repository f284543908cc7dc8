// Brings libslirp's source, which is not in this repository: vendor/libslirp/source.json names the two files
// of Debian's source package (upstream's archive and Debian's patches) with their SHA-256 sums. They are
// fetched by a private apt from the mirror that the machine uses, or taken from a folder that the user
// names, checked against those sums, unpacked to vendor/libslirp/upstream and patched. Any other content is
// refused: what we compile is known to the byte.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { withPrivateApt } from "../apt.mjs";

const TARGET = "vendor/libslirp/upstream";
const PROGRAMS = [
  { command: "tar", package: "tar" },
  { command: "bzip2", package: "bzip2" },
  { command: "xz", package: "xz-utils" },
  { command: "patch", package: "patch" },
];

/**
 * @typedef {object} SourceFile
 * @property {string} name
 * @property {"upstream" | "patches"} kind
 * @property {string} sha256
 */

function bothWays(source) {
  const names = source.files.map((file) => file.name).join(" and ");
  return (
    `There are two ways to get it: let set-up fetch it (apt-get and a Debian mirror that has ` +
    `${source.package} ${source.version}, suites ${source.suites.join(" and ")}), or put ${names} ` +
    `into a folder and name that: SLIRP_WASM_LIBSLIRP_DIR=DIR, or \`npm run setup -- --libslirp DIR\``
  );
}

/**
 * Refuses a file that is not there or not the one that source.json means.
 *
 * @param {string} folder
 * @param {SourceFile} file
 * @param {{ package: string, version: string, suites: string[], files: SourceFile[] }} source
 * @throws {Error} that names the file and, where its content differs, both sums
 */
function verifyFile(folder, file, source) {
  const path = join(folder, file.name);
  if (!existsSync(path)) {
    throw new Error(`libslirp's source file ${file.name} is not in ${folder}. ${bothWays(source)}`);
  }
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  if (sha256 !== file.sha256) {
    throw new Error(
      `${path} is not the file that vendor/libslirp/source.json names, and is refused:\n` +
        `    SHA-256 expected: ${file.sha256}\n` +
        `    SHA-256 found:    ${sha256}\n` +
        `    ${bothWays(source)}`,
    );
  }
}

/** Whether the folder has all files as they should be. */
function isComplete(folder, source) {
  try {
    for (const file of source.files) verifyFile(folder, file, source);
    return true;
  } catch {
    return false;
  }
}

/** Fetches the files; gives the folder they are in. Those of an earlier run are used again. */
async function fetchFiles(ctx, source) {
  const kept = join(ctx.root, "build/apt/libslirp/download");
  if (isComplete(kept, source)) return kept;
  // apt-get would go on with a file of the same name that was tampered with or cut short.
  for (const file of source.files) rmSync(join(kept, file.name), { force: true });
  const options = { name: "libslirp", suites: source.suites, types: ["deb-src"] };
  try {
    return await withPrivateApt(ctx, options, async (apt) => {
      const wanted = `${source.package}=${source.version}`;
      // One at a time, and without the .dsc: mirrors that lag behind have lost that file first.
      for (const part of ["--tar-only", "--diff-only"]) {
        await apt.aptGet(["source", "--download-only", part, wanted]);
      }
      return apt.downloadFolder;
    });
  } catch (error) {
    const names = source.files.map((file) => file.name).join(" and ");
    throw new Error(`${names} could not be fetched: ${error.message}\n    ${bothWays(source)}`, {
      cause: error,
    });
  }
}

function findFile(source, kind) {
  return source.files.find((file) => file.kind === kind).name;
}

/**
 * Checks, unpacks and patches.
 *
 * @param {object} ctx set-up's context
 * @param {object} source content of source.json
 * @param {string} folder where the files are
 * @param {string} target folder that is made, or made anew
 */
export async function unpackSource(ctx, source, folder, target) {
  for (const file of source.files) verifyFile(folder, file, source);
  const draft = `${target}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  const owner = ["--no-same-owner", "-C", draft];
  const archive = join(folder, findFile(source, "upstream"));
  await ctx.exec("tar", ["-xf", archive, "--strip-components=1", ...owner]);
  await ctx.exec("tar", ["-xf", join(folder, findFile(source, "patches")), ...owner]);
  const series = readFileSync(join(draft, "debian/patches/series"), "utf8");
  const patches = series.split("\n").map((line) => line.replace(/#.*/, "").trim());
  for (const name of patches.filter((line) => line !== "")) {
    const input = readFileSync(join(draft, "debian/patches", name));
    await ctx.exec("patch", ["-p1", "--no-backup-if-mismatch"], { cwd: draft, input });
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(draft, target);
}

export default {
  name: "libslirp-source",
  describe: "fetch libslirp's source, check its SHA-256 sums, unpack and patch it",
  after: ["debian-packages"],
  needs: PROGRAMS,
  inputs: () => ["vendor/libslirp/source.json"],
  outputs: () => [`${TARGET}/src/slirp.c`, `${TARGET}/COPYRIGHT`, `${TARGET}/debian/copyright`],
  async run(ctx) {
    const source = JSON.parse(readFileSync(join(ctx.root, "vendor/libslirp/source.json"), "utf8"));
    const given = ctx.env.SLIRP_WASM_LIBSLIRP_DIR;
    const folder = given ?? (await fetchFiles(ctx, source));
    await unpackSource(ctx, source, folder, join(ctx.root, TARGET));
  },
};
