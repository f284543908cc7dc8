/** Where the package's native files lie (addons, and a program), and what is said when one is not there. */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrorCode, SlirpError } from "../errors.js";

/** The package's folder, seen from `dist/addons` as from `src/addons`. */
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

/** A folder that has native files of one's own, before all others: another build of them, say. */
const FOLDER_VARIABLE = "SLIRP_WASM_ADDONS";

function platform(): string {
  return `${process.platform}-${process.arch}`;
}

/** Folders that are looked into, in this order. */
export function nativeFolders(): string[] {
  const own = process.env[FOLDER_VARIABLE];
  return [...(own ? [resolve(own)] : []), join(PACKAGE, "prebuilds", platform())];
}

/** An error `addonUnavailable` whose message lists what was tried; `what` is "the native addon tap.node", say. */
export function nativeFileMissing(
  what: string,
  tried: readonly string[],
  cause: unknown,
): SlirpError {
  const remedy =
    "on Linux it is built by `node scripts/set-up.mjs --only native-addons` in a checkout, with a C compiler; " +
    `${FOLDER_VARIABLE} names a folder that has it`;
  const text = `${what} for ${platform()} is not to be had: ${tried.join("; ")}; ${remedy}`;
  return new SlirpError(ErrorCode.addonUnavailable, text, { cause });
}
