/** Finds a native program of the package, in the places where its addons are looked for. */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { nativeFileMissing, nativeFolders } from "./native-files.js";

/**
 * The path of the program of that name.
 * @throws SlirpError `addonUnavailable`, whose message lists the files that were tried and what was wrong with each.
 */
export function findProgram(name: string): string {
  const tried: string[] = [];
  let cause: unknown;
  for (const path of nativeFolders().map((folder) => join(folder, name))) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch (error) {
      cause = error;
      const { code } = error as NodeJS.ErrnoException;
      tried.push(
        code === "ENOENT" ? `${path} is not there` : `${path} cannot be run (${code ?? "?"})`,
      );
    }
  }
  throw nativeFileMissing(`the program ${name}`, tried, cause);
}
