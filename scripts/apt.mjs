// Downloads Debian packages and sources of a release that need not be the machine's own, without
// touching the machine's apt: the lists, the cache and the sources live in a folder of ours under
// build/apt. No root is needed, nothing is installed, and the machine's configuration is only read:
// the mirror is the one that it already uses (or SLIRP_WASM_DEBIAN_MIRROR), the proxy settings and
// trusted keys are its own. apt verifies the signatures and checksums of what it downloads.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Names by which a source entry is known to be Debian's own archive and not a third party's. */
const DEBIAN_SUITES =
  /^(stable|oldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky|duke)(-updates|-security|-backports)?$/;

/**
 * @typedef {object} AptSource one entry of sources.list
 * @property {string[]} types "deb", "deb-src"
 * @property {string[]} uris
 * @property {string[]} suites
 * @property {string | undefined} signedBy path of a keyring, or an embedded key with its line breaks
 */

/** @returns {AptSource[]} the entries of a deb822 file (`*.sources`) */
export function parseDeb822Sources(text) {
  const sources = [];
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = new Map();
    let last = "";
    for (const line of stanza.split("\n")) {
      if (line.startsWith("#") || line.trim() === "") continue;
      const field = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line);
      if (field !== null) {
        last = field[1].toLowerCase();
        fields.set(last, field[2]);
      } else if (/^[ \t]/.test(line) && last !== "") {
        fields.set(last, `${fields.get(last)}\n${line}`);
      }
    }
    const words = (name) => (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
    if (words("uris").length === 0 || fields.get("enabled") === "no") continue;
    sources.push({
      types: words("types"),
      uris: words("uris"),
      suites: words("suites"),
      signedBy: fields.get("signed-by"),
    });
  }
  return sources;
}

/** @returns {AptSource[]} the entries of a file in the one-line format (`*.list`) */
export function parseOneLineSources(text) {
  const sources = [];
  for (const line of text.split("\n")) {
    const entry = /^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line);
    if (entry === null) continue;
    const [, type, options = "", uri, suite] = entry;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1];
    sources.push({ types: [type], uris: [uri], suites: [suite], signedBy });
  }
  return sources;
}

function readMachineSources(etcApt = "/etc/apt") {
  const sources = [];
  const read = (path, parse) =>
    existsSync(path) && sources.push(...parse(readFileSync(path, "utf8")));
  read(join(etcApt, "sources.list"), parseOneLineSources);
  const parts = join(etcApt, "sources.list.d");
  for (const name of existsSync(parts) ? readdirSync(parts).sort() : []) {
    if (name.endsWith(".list")) read(join(parts, name), parseOneLineSources);
    if (name.endsWith(".sources")) read(join(parts, name), parseDeb822Sources);
  }
  return sources;
}

/**
 * Which mirror to ask: the machine's own for Debian's archive and for its security archive.
 *
 * @param {AptSource[]} [sources] default: what /etc/apt holds
 * @returns {{ archive: string, security: string, signedBy: string | undefined }}
 * @throws {Error} when no Debian mirror is configured
 */
export function findMirrors(sources = readMachineSources(), env = process.env) {
  const debian = sources.filter(
    (source) =>
      source.suites.some((suite) => DEBIAN_SUITES.test(suite)) &&
      source.uris.some((uri) => /^(https?|file|copy|mirror\+\w+):/.test(uri)),
  );
  const isSecurity = (source) => source.suites.every((suite) => suite.endsWith("-security"));
  const main = debian.find((source) => !isSecurity(source));
  const archive = (env.SLIRP_WASM_DEBIAN_MIRROR ?? main?.uris[0])?.replace(/\/+$/, "");
  if (archive === undefined) {
    throw new Error(
      "no Debian mirror is configured in /etc/apt/sources.list or /etc/apt/sources.list.d; " +
        "name one: SLIRP_WASM_DEBIAN_MIRROR=<URI of a Debian archive>",
    );
  }
  const given = env.SLIRP_WASM_DEBIAN_MIRROR === undefined ? debian.find(isSecurity) : undefined;
  const security = given?.uris[0].replace(/\/+$/, "") ?? `${archive}-security`;
  const keyring = existsSync(DEBIAN_KEYRING) ? DEBIAN_KEYRING : undefined;
  return { archive, security, signedBy: main?.signedBy ?? keyring };
}

function writeSources(path, mirrors, { suites, components, architectures, types }) {
  const stanza = (uri, names) =>
    [
      `Types: ${types.join(" ")}`,
      `URIs: ${uri}`,
      `Suites: ${names.join(" ")}`,
      `Components: ${components.join(" ")}`,
      ...(architectures.length === 0 ? [] : [`Architectures: ${architectures.join(" ")}`]),
      ...(mirrors.signedBy === undefined ? [] : [`Signed-By: ${mirrors.signedBy}`]),
    ].join("\n");
  const security = suites.filter((suite) => suite.endsWith("-security"));
  const others = suites.filter((suite) => !suite.endsWith("-security"));
  const stanzas = [];
  if (others.length > 0) stanzas.push(stanza(mirrors.archive, others));
  if (security.length > 0) stanzas.push(stanza(mirrors.security, security));
  writeFileSync(path, stanzas.join("\n\n") + "\n");
}

function writeConfiguration(folder, architectures) {
  const config = join(folder, "apt.conf");
  const quoted = architectures.map((name) => `"${name}";`).join(" ");
  const lines = [
    `Dir::State "${folder}/state";`,
    // What is installed here is of no interest, but apt insists on a status file.
    `Dir::State::status "${folder}/state/status";`,
    `Dir::Cache "${folder}/cache";`,
    `Dir::Etc::SourceList "/dev/null";`,
    `Dir::Etc::SourceParts "${folder}/sources";`,
    // As root, apt would drop to a user that may not write into our folder.
    `APT::Sandbox::User "root";`,
    ...(quoted === "" ? [] : [`APT::Architectures { ${quoted} };`]),
    `Acquire::Languages "none";`,
    `Acquire::Retries "3";`,
  ];
  writeFileSync(config, lines.join("\n") + "\n");
  return config;
}

function prepareFolder(folder) {
  // Lists that an interrupted update left half done would make apt find nothing, without a word.
  for (const name of ["state", "cache"])
    rmSync(join(folder, name), { recursive: true, force: true });
  for (const name of ["sources", "state/lists/partial", "cache/archives/partial", "download"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  writeFileSync(join(folder, "state/status"), "");
}

/**
 * Opens a private apt and hands it to `fn`.
 *
 * @template T
 * @param {object} ctx set-up's context (root, exec, has)
 * @param {object} options
 * @param {string} options.name folder under build/apt; one name an archive selection
 * @param {string[]} options.suites e.g. ["trixie", "trixie-security"]; those that end in "-security"
 *   come from the security archive
 * @param {string[]} [options.components] default ["main"]
 * @param {string[]} [options.architectures] e.g. ["i386"]; default: the machine's own
 * @param {string[]} [options.types] "deb" for packages (default), "deb-src" for sources
 * @param {(apt: PrivateApt) => Promise<T>} fn
 * @returns {Promise<T>} what `fn` gives
 * @throws {Error} when apt-get or a Debian mirror is missing, or the update fails
 *
 * @typedef {object} PrivateApt
 * @property {string} downloadFolder where files are put
 * @property {(args: string[]) => Promise<{ stdout: string, stderr: string }>} aptGet apt-get with our
 *   configuration, in `downloadFolder`
 * @property {(args: string[]) => Promise<{ stdout: string, stderr: string }>} aptCache the same for
 *   apt-cache
 * @property {(packages: string[]) => Promise<string[]>} download paths of the .deb files of `packages`,
 *   in their order; "name", "name:arch", "name=version"
 */
export async function withPrivateApt(ctx, options, fn) {
  const { name, suites, components = ["main"], architectures = [], types = ["deb"] } = options;
  if (!ctx.has("apt-get")) {
    throw new Error(
      "apt-get is not on PATH: files of Debian's archive can be fetched only with it",
    );
  }
  const folder = join(ctx.root, "build/apt", name);
  prepareFolder(folder);
  const selection = { suites, components, architectures, types };
  writeSources(join(folder, "sources/private.sources"), findMirrors(), selection);
  const env = { APT_CONFIG: writeConfiguration(folder, architectures), LC_ALL: "C.UTF-8" };
  const downloadFolder = join(folder, "download");
  const run = (program) => (args) => ctx.exec(program, args, { cwd: downloadFolder, env });
  const aptGet = run("apt-get");
  await updateLists(ctx, aptGet);
  return fn({
    downloadFolder,
    aptGet,
    aptCache: run("apt-cache"),
    download: (packages) => downloadPackages({ aptGet, downloadFolder }, packages),
  });
}

/**
 * An index that a mirror gives wrongly (in the midst of its own update, say) is no reason to stop: apt
 * has left it out and said so, and what is asked for next may stand in another. If it does not, that
 * download fails by name.
 */
async function updateLists(ctx, aptGet) {
  try {
    await aptGet(["update"]);
  } catch (error) {
    if (!/Some index files failed to download/.test(error.output ?? "")) throw error;
    const failed = error.output.split("\n").filter((line) => line.startsWith("E: Failed to fetch"));
    ctx.say(`apt leaves out an index that the mirror gives wrongly: ${failed.join("; ")}`);
  }
}

/** `apt-get download` resolves no dependencies, and names the files itself: `--print-uris` tells how. */
async function downloadPackages({ aptGet, downloadFolder }, packages) {
  const paths = [];
  for (const name of packages) {
    const { stdout } = await aptGet(["download", "--print-uris", "-qq", name]);
    const file = /^'[^']*' (\S+) \d+/m.exec(stdout)?.[1];
    if (file === undefined) throw new Error(`apt-get names no file for the package ${name}`);
    await aptGet(["download", "-qq", name]);
    const path = join(downloadFolder, file);
    if (!existsSync(path)) throw new Error(`apt-get did not write ${file} for the package ${name}`);
    paths.push(path);
  }
  return paths;
}
