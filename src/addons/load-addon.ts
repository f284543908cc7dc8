/**
 * Finds and loads native addons: when they are first needed, never before, so that who has no use for a device needs no compiler and
 * no prebuilt file for his system.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { nativeFileMissing, nativeFolders } from "./native-files.js";

/** What every addon has for descriptors from another process; see native/pass-descriptor.h. All throw Errors with the system's `code`. */
export interface DescriptorCalls {
  /** Two ends of a unix stream. */
  makeSocketPair(): [ours: number, theirs: number];
  /** -1 where the message that came has none; several are an error (`EPROTO`), and closed. */
  receiveDescriptor(socketFd: number): number;
  /** Of one that an addon opened or received; Node's `close` warns of those. */
  closeDescriptor(fd: number): void;
}

const loaded = new Map<string, unknown>();

/**
 * The addon of that name (`tap`); loaded once a thread.
 * @throws SlirpError `addonUnavailable`, whose message lists the files that were tried and what was wrong with each.
 */
export function loadAddon(name: string): unknown {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const tried: string[] = [];
  let cause: unknown;
  for (const path of nativeFolders().map((folder) => join(folder, `${name}.node`))) {
    if (!existsSync(path)) {
      tried.push(`${path} is not there`);
      continue;
    }
    try {
      const addon: unknown = createRequire(import.meta.url)(path);
      loaded.set(name, addon);
      return addon;
    } catch (error) {
      cause = error;
      tried.push(`${path} cannot be loaded (${error instanceof Error ? error.message : "?"})`);
    }
  }
  throw nativeFileMissing(`the native addon ${name}.node`, tried, cause);
}
