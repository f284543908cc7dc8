/**
 * The native addon behind `slirp-wasm netns` (native/netns.c) and the program that goes with it (native/netns-helper.c), as TypeScript sees
 * them.
 */
import { findProgram } from "../addons/find-program.js";
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

/** The program's path. @throws SlirpError `addonUnavailable` */
export function netnsHelperPath(): string {
  return findProgram("netns-helper");
}
