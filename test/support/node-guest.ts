/**
 * A guest under QEMU with this machine's Node and our built package in it: for what takes a kernel that this machine does not have.
 *
 * Everything lies in a second archive behind the guest's own, as a root of its own (/machine) in which Node finds loader and libraries
 * where it looks for them. The archive lies in memory: Debian's kernel for clouds has no way to share a folder that needs no server.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { CpioWriter } from "../../scripts/guest/cpio.mjs";
import { TAP_MODULES } from "../../scripts/guest/modules.mjs";
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

/** See the top of the file. */
export class NodeGuest {
  readonly guest: QemuGuest;

  private constructor(guest: QemuGuest) {
    this.guest = guest;
  }

  /** Boots; `scripts` are files by their names in the guest's root folder. */
  static async start(scripts: Readonly<Record<string, string | Uint8Array>>): Promise<NodeGuest> {
    const archive = buildArchive(scripts);
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

  /** Runs Node in the package's folder. @throws as {@link run} */
  node(...words: string[]): Promise<string> {
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    return this.run(`chroot /${MACHINE} ${process.execPath} ${quoted}`);
  }

  async stop(): Promise<void> {
    await this.guest.stop();
  }
}

async function capture(guest: QemuGuest, command: string): Promise<string> {
  const { status, text, errorOutput } = await guest.capture(command);
  if (status === 0) return text;
  const errors = Buffer.from(errorOutput).toString();
  throw new Error(`in the guest, ${command} ended with status ${status}: ${text}${errors}`);
}

function buildArchive(scripts: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const archive = new CpioWriter();
  const put = (path: string, data: string | Uint8Array, permissions = 0o644): void => {
    archive.file(`${MACHINE}/${path.replace(/^\//, "")}`, data, permissions);
  };
  for (const name of ["dev", "proc", "sys", "tmp", "run"]) archive.folder(`${MACHINE}/${name}`);
  for (const path of [process.execPath, ...librariesOf(process.execPath)]) {
    put(path, readFileSync(realpathSync(path)), 0o755);
  }
  for (const name of BUILT) {
    for (const path of filesBelow(join(ROOT, name))) {
      put(`${GUEST_PACKAGE}${path.slice(ROOT.length)}`, readFileSync(path), 0o755);
    }
  }
  put(`${GUEST_PACKAGE}/package.json`, readFileSync(join(ROOT, "package.json")));
  for (const folder of dependenciesOf(ROOT)) {
    for (const path of filesBelow(folder)) {
      put(`${GUEST_PACKAGE}${path.slice(ROOT.length)}`, readFileSync(path));
    }
  }
  for (const [name, text] of Object.entries(scripts)) put(`${GUEST_PACKAGE}/${name}`, text);
  for (const name of TAP_MODULES) {
    archive.file(`extra/${name}.ko`, readFileSync(join(MODULES, `${name}.ko`)));
  }
  return archive.toBuffer();
}

/** Paths as the loader has them. */
function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...lines.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path ?? "");
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !/\.(tsbuildinfo|map|d\.ts)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Folders of the packages that a package needs to run, and those that these need. */
function dependenciesOf(folder: string, found = new Set<string>()): Set<string> {
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    dependencies?: Record<string, string>;
  };
  const { paths } = Object.assign(createRequire(join(folder, "package.json")).resolve);
  for (const name of Object.keys(dependencies)) {
    const home = (paths(name) ?? [])
      .map((path: string) => join(path, name))
      .find((path: string) => existsSync(join(path, "package.json")));
    if (home === undefined || found.has(home)) continue;
    found.add(home);
    dependenciesOf(dirname(join(home, "package.json")), found);
  }
  return found;
}
