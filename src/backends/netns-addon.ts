/**
 * The native addon behind `slirp-wasm netns` (native/netns.c) and the program that goes with it (native/netns-helper.c), as TypeScript sees
 * them.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrorCode, SlirpError } from "../errors.js";
import { loadAddon, type DescriptorCalls } from "../addons/load-addon.js";

/** See native/give-up.h. All throw Errors with the system's `code`. */
export interface NetnsAddon extends DescriptorCalls {
  /** For all threads and for good; see native/give-up.c for what is left. */
  allowOnlyNetworking(): void;
  /** Throws, or does not return. The program keeps the descriptors, and no others of Node's. */
  replaceProcess(path: string, words: readonly string[], descriptors: readonly number[]): never;
}

/** Loads the addon. @throws SlirpError `addonUnavailable` */
export function loadNetnsAddon(): NetnsAddon {
  return loadAddon("netns") as NetnsAddon;
}

/** The program's path. @throws SlirpError `addonUnavailable` where it is not there */
export function netnsHelperPath(): string {
  const folder = new URL(`../../prebuilds/${process.platform}-${process.arch}`, import.meta.url);
  const path = join(fileURLToPath(folder), "netns-helper");
  if (existsSync(path)) return path;
  const text = `the program ${path} is not there; in a checkout it is built by "node scripts/set-up.mjs --only native-addons", with a C compiler`;
  throw new SlirpError(ErrorCode.addonUnavailable, text);
}
