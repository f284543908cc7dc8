/**
 * A guest under QEMU with this machine's Node and our built package in it: for what takes a kernel that this machine does not have.
 *
 * Everything lies in a second archive behind the guest's own, as a root of its own (/machine) in which Node finds loader and libraries
 * where it looks for them. The archive lies in memory: Debian's kernel for clouds has no way to share a folder that needs no server.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { CpioWriter } from "../../scripts/guest/cpio.mjs";
import { TAP_MODULES } from "../../scripts/guest/modules.mjs";
import { findCommand } from "../../scripts/set-up/exec.mjs";
import { ROOT } from "../house/scratch.js";
import { QemuGuest, qemuMissing } from "./qemu-guest.js";

const MODULES = join(ROOT, "build/guest/qemu/modules");
/** The archive is there twice while the kernel unpacks it; Node has 90 MB. */
const MEMORY_MIB = 1024;
const MACHINE = "machine";
/** Where the package lies in the guest, seen by Node. */
export const GUEST_PACKAGE = "/slirp-wasm";
/** What of the package is carried along. */
const BUILT = ["dist", "prebuilds", "wasm/out"];

/** Why there can be no such guest, for `ctx.skip`; undefined where there can. */
export function nodeGuestMissing(): string | undefined {
  const missing = qemuMissing();
  if (missing !== undefined) return missing;
  if (process.arch !== "x64" || process.platform !== "linux") {
    return "the guest has an x86-64 kernel, and this machine's Node is for another";
  }
  const absent = TAP_MODULES.filter((name) => !existsSync(join(MODULES, `${name}.ko`)));
  if (absent.length === 0) return undefined;
  return `the kernel modules ${absent.join(", ")} are not in ${MODULES}; \`npm run setup\` puts them there`;
}

/** What a guest has beside Node and the built package. */
export interface NodeGuestOptions {
  /** Files and folders of the project, as they are here. */
  readonly files?: readonly string[];
  /** Development packages, with all that they need. */
  readonly packages?: readonly string[];
  /** Programs of this machine, by name. */
  readonly programs?: readonly string[];
}

/** See the top of the file. */
export class NodeGuest {
  readonly guest: QemuGuest;

  private constructor(guest: QemuGuest) {
    this.guest = guest;
  }

  static async start(options: NodeGuestOptions = {}): Promise<NodeGuest> {
    const archive = buildArchive(options);
    const guest = await QemuGuest.start({
      netdev: [],
      memoryMiB: MEMORY_MIB,
      processors: 2,
      archive,
      startTimeoutMs: 300_000,
    });
    const mounts = ["dev", "proc", "sys"].map(
      (name) => `mount --bind /${name} /${MACHINE}/${name}`,
    );
    await capture(guest, mounts.join(" && "));
    return new NodeGuest(guest);
  }

  /** Loads kernel modules that lie beside the guest's image, in that order. */
  async load(names: readonly string[]): Promise<void> {
    await capture(this.guest, names.map((name) => `insmod /extra/${name}.ko`).join(" && "));
  }

  /** Runs a shell command; answers what it prints. @throws Error with all that it printed unless it ends with status 0 */
  run(command: string): Promise<string> {
    return capture(this.guest, command);
  }

  /** Runs Node, with these variables. @throws as {@link run}, unless it may end with another status */
  async node(
    words: readonly string[],
    variables: Readonly<Record<string, string>> = {},
    { mayFail = false } = {},
  ): Promise<string> {
    const path = process.env["PATH"] ?? "/usr/bin:/bin";
    const settings = Object.entries({ PATH: path, HOME: "/tmp", NO_COLOR: "1", ...variables });
    const line = [
      ...["env", "-i", ...settings.map(([name, value]) => quote(`${name}=${value}`))],
      ...["chroot", `/${MACHINE}`, process.execPath, ...words.map(quote)],
    ].join(" ");
    return this.run(mayFail ? `${line} || true` : line);
  }

  async stop(): Promise<void> {
    await this.guest.stop();
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

async function capture(guest: QemuGuest, command: string): Promise<string> {
  const { status, text, errorOutput } = await guest.capture(command);
  if (status === 0) return text;
  const errors = Buffer.from(errorOutput).toString();
  throw new Error(`in the guest, ${command} ended with status ${status}: ${text}${errors}`);
}

function buildArchive({ files = [], packages = [], programs = [] }: NodeGuestOptions): Buffer {
  const archive = new CpioWriter();
  const paths = new Map<string, string>();
  const folders = [...dependenciesOf(ROOT, packages)];
  for (const path of [...BUILT, "package.json", ...files].map((name) => join(ROOT, name))) {
    folders.push(path);
  }
  for (const path of folders.flatMap(filesBelow)) {
    paths.set(`${GUEST_PACKAGE}${path.slice(ROOT.length)}`, path);
  }
  const loaders = [process.execPath, ...programs.map(findProgram)];
  const addons = [...paths.values()].filter((path) => path.endsWith(".node"));
  for (const path of [...loaders, ...[...loaders, ...addons].flatMap(librariesOf)]) {
    paths.set(path, path);
  }
  for (const name of ["dev", "proc", "sys", "tmp", "run"]) archive.folder(`${MACHINE}/${name}`);
  // Where shells are looked for; programs lie in /usr.
  archive.link(`${MACHINE}/bin`, "usr/bin");
  for (const [path, source] of paths) {
    archive.file(`${MACHINE}${path}`, readFileSync(source), 0o755);
  }
  for (const name of TAP_MODULES) {
    archive.file(`extra/${name}.ko`, readFileSync(join(MODULES, `${name}.ko`)));
  }
  return archive.toBuffer();
}

function findProgram(name: string): string {
  const path = findCommand(name);
  if (path === undefined) throw new Error(`${name} is not on PATH`);
  return path;
}

/** What a program or addon loads, by the paths that the loader has for it. */
function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...lines.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path ?? "");
}

/** A file itself, or those in a folder that are of use at run time. */
function filesBelow(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !/\.(tsbuildinfo|map)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Folders of packages that a package needs to run, and of those that these need. */
function dependenciesOf(
  home: string,
  more: readonly string[] = [],
  found = new Set<string>(),
): Set<string> {
  const manifest = join(home, "package.json");
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(manifest, "utf8")) as {
    dependencies?: Record<string, string>;
    optionalDependencies?: Record<string, string>;
  };
  const folders = createRequire(manifest).resolve.paths("x") ?? [];
  for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...more]) {
    const folder = folders
      .map((path) => join(path, name))
      .find((path) => existsSync(join(path, "package.json")));
    // Optional ones are for other systems.
    if (folder === undefined || found.has(folder)) continue;
    found.add(folder);
    dependenciesOf(folder, [], found);
  }
  return found;
}
