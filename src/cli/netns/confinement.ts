/**
 * `--enable-sandbox` and `--enable-seccomp`: what the process gives up, and how a Node process can.
 *
 * Most of what Linux lets a process give up counts for one thread and those that it starts later, and Node has threads from its first
 * moment. So for the sandbox the process begins anew: it becomes native/netns-helper.c (same process id), which gives up files,
 * capabilities and the way back to them, and becomes Node again, which finds the TAP open. Only a filter of system calls can be laid on
 * all threads at once: that is done at the end, when everything is open that will be.
 *
 * What remains allowed, and is not in slirp4netns's sandbox: reading the program itself (Node, its libraries, this package), and memory
 * that is both written and executed, without which there is no JavaScript engine.
 */
import { fstatSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { nativeFolders } from "../../addons/native-files.js";
import { loadNetnsAddon, netnsHelperPath } from "../../backends/netns-addon.js";
import { formatNetnsOptions, type NetnsOptions } from "./netns-options.js";

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../..", import.meta.url));

/** What programs need wherever they are: the loader, libraries, time zones. */
const SYSTEM = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo"];
/** What slirp4netns's sandbox has: configuration of the system, and what services put beside it (resolvers). */
const CONFIGURATION = ["/etc", "/run"];
/** Node looks there for how much memory there is. */
const OWN_STATE = ["/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup"];
const DEVICES = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/** The process becomes one that may do less, and goes on with the TAP where there is one. @throws Error, or does not return */
export function enterSandbox(options: NetnsOptions, tapFd: number | undefined): never {
  const helper = netnsHelperPath();
  const node = realpathSync(process.execPath);
  const own = [node, PACKAGE, ...packageFolders(), ...nativeFolders()];
  const read = [...SYSTEM, ...CONFIGURATION, ...resolverFolder(), ...OWN_STATE, ...own];
  const sockets = [options.apiSocketPath, options.target.kind === "bess" && options.target.path];
  const words = [
    helper,
    "confine",
    ...read.map((path) => `--read=${path}`),
    ...DEVICES.map((path) => `--write=${path}`),
    ...sockets.flatMap((path) => (path ? [`--sockets=${dirname(resolve(path))}`] : [])),
    ...["--", node, ...process.execArgv, MAIN, "netns", ...formatNetnsOptions(options, tapFd)],
  ];
  const handed = [0, 1, 2, tapFd, options.exitFd, options.readyFd];
  const descriptors = handed.filter((fd) => fd !== undefined && isOpen(fd)) as number[];
  return loadNetnsAddon().replaceProcess(helper, words, descriptors);
}

/** Lays the filter on all threads. @throws Error where the kernel, or this architecture, has none */
export function filterSystemCalls(): void {
  loadNetnsAddon().allowOnlyNetworking();
}

/** /etc/resolv.conf may be a link to elsewhere, and is replaced there. */
function resolverFolder(): string[] {
  try {
    return [dirname(realpathSync("/etc/resolv.conf"))];
  } catch {
    return [];
  }
}

/** Where packages that we use may lie: beside us, or above. */
function packageFolders(): string[] {
  return createRequire(import.meta.url).resolve.paths("ipaddr.js") ?? [];
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}
