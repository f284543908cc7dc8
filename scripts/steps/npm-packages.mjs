// The npm packages that package-lock.json names. What is installed is compared entry by entry with the lock
// file, not by a stamp, so that an `npm install` by hand counts too. No package's install script is run:
// nothing of what we use needs one.

import { readFileSync } from "node:fs";
import { join } from "node:path";

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch (error) {
    if (error.code === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether every package of the lock file is installed as it says; those for other platforms may lack. */
export function isInstalled(locked, installed) {
  return Object.entries(locked).every(([path, wanted]) => {
    const found = installed[path];
    if (path === "") return true;
    if (found === undefined) return wanted.optional === true;
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

export default {
  name: "npm-packages",
  describe: "install the npm packages that package-lock.json names",
  upToDate({ root }) {
    const locked = readPackages(join(root, "package-lock.json"));
    const installed = readPackages(join(root, "node_modules/.package-lock.json"));
    if (locked === undefined) throw new Error("package-lock.json is missing or not JSON");
    return installed !== undefined && isInstalled(locked, installed);
  },
  async run(ctx) {
    await ctx.exec("npm", ["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
  },
};
