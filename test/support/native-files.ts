/** The native files that set-up makes where there is a compiler, and that the package then has. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../house/scratch.js";

/** As the package has them. */
export const NATIVE_FOLDER = `prebuilds/${process.platform}-${process.arch}`;

/** All of them, or none. */
export const NATIVE_FILES = ["tap.node", "sockets.node", "netns.node", "netns-helper"] as const;

/** Undefined where set-up has made them, or the reason to skip. */
export function whyNoNativeFiles(): string | undefined {
  if (NATIVE_FILES.some((name) => existsSync(join(ROOT, NATIVE_FOLDER, name)))) return undefined;
  return `there is nothing in ${NATIVE_FOLDER}: set-up found no compiler, or the system is not Linux`;
}
