// Builds the addons in native/ and puts them where the package has them, prebuilds/PLATFORM-ARCH/. The tool is node-gyp, the one that npm
// brings along; the headers are those of the Node that runs this. Without a compiler set-up goes on: all that needs no addon works, and
// what needs one says so (src/addons/load-addon.ts).

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { findCommand } from "../set-up/exec.mjs";

/** Names as native/build/Release and the package have them. */
const PRODUCTS = ["tap.node", "netns.node", "sockets.node", "netns-helper"];
/** TAP devices and network namespaces are Linux's. */
const CAN_BE_BUILT = process.platform === "linux";
const PREBUILDS = `prebuilds/${process.platform}-${process.arch}`;

/** Arguments for Node that run node-gyp. */
function findNodeGyp() {
  const npm = findCommand("npm");
  if (npm !== undefined) {
    const home = dirname(dirname(realpathSync(npm)));
    const bundled = join(home, "node_modules/node-gyp/bin/node-gyp.js");
    if (existsSync(bundled)) return bundled;
  }
  const own = findCommand("node-gyp");
  if (own !== undefined) return realpathSync(own);
  throw new Error(
    "node-gyp is neither within npm nor on PATH; install it by: npm install --global node-gyp",
  );
}

/** Where this Node's headers are; undefined lets node-gyp look for itself. */
function findNodeFolder() {
  const isHome = (folder) => existsSync(join(folder, "include/node/node_api.h"));
  const beside = dirname(dirname(realpathSync(process.execPath)));
  if (isHome(beside)) return beside;
  const { stdout } = spawnSync("npm", ["config", "get", "nodedir"], { encoding: "utf8" });
  const configured = stdout?.trim() ?? "";
  return configured !== "" && isHome(configured) ? configured : undefined;
}

export default {
  name: "native-addons",
  describe: "build the addons for TAP devices, sockets and namespaces",
  optional: true,
  needs: CAN_BE_BUILT
    ? [
        { command: "g++", package: "g++" },
        { command: "make", package: "make" },
        { command: "python3", package: "python3" },
      ]
    : [],
  inputs: ({ root }) => [
    ...readdirSync(join(root, "native"))
      .filter((name) => /\.(c|h|gyp)$/.test(name))
      .map((name) => join("native", name)),
    `Node ${process.versions.modules} on ${process.platform}-${process.arch}`,
  ],
  outputs: () => (CAN_BE_BUILT ? PRODUCTS.map((name) => `${PREBUILDS}/${name}`) : []),
  async run(ctx) {
    if (!CAN_BE_BUILT) return ctx.say("they are for Linux: there is nothing to build here");
    const folder = findNodeFolder();
    const headers = folder === undefined ? [] : [`--nodedir=${folder}`];
    const made = join(ctx.root, "native/build/Release");
    await ctx.exec(process.execPath, [findNodeGyp(), "rebuild", ...headers], {
      cwd: join(ctx.root, "native"),
    });
    mkdirSync(join(ctx.root, PREBUILDS), { recursive: true });
    for (const name of PRODUCTS) {
      copyFileSync(join(made, name), join(ctx.root, PREBUILDS, name));
    }
  },
};
