/**
 * Finds and loads native addons: when they are first needed, never before, so that who has no use for a device needs no compiler and
 * no prebuilt file for his system.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrorCode, SlirpError } from "../errors.js";

/** The package's folder, seen from `dist/addons` as from `src/addons`. */
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

/** A folder that has addons of one's own, before all others: another build of them, say. */
const FOLDER_VARIABLE = "SLIRP_WASM_ADDONS";

/** What every addon has for descriptors from another process; see native/pass-descriptor.h. All throw Errors with the system's `code`. */
export interface DescriptorCalls {
  /** Two ends of a unix stream. */
  makeSocketPair(): [ours: number, theirs: number];
  /** -1 where the message that came has none. */
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
  for (const path of candidatePaths(name)) {
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
  const remedy =
    "on Linux it is built by `node scripts/set-up.mjs --only native-addons` in a checkout; " +
    `${FOLDER_VARIABLE} names a folder that has it`;
  const text = `the native addon ${name}.node for ${platform()} is not to be had: ${tried.join("; ")}; ${remedy}`;
  throw new SlirpError(ErrorCode.addonUnavailable, text, { cause });
}

function platform(): string {
  return `${process.platform}-${process.arch}`;
}

function candidatePaths(name: string): string[] {
  const folder = process.env[FOLDER_VARIABLE];
  const own = folder === undefined || folder === "" ? [] : [join(folder, `${name}.node`)];
  return [...own, join(PACKAGE, "prebuilds", platform(), `${name}.node`)];
}
