// The programs that are not npm's to bring: the compiler, the emulator and what unpacks archives. Only what
// is missing is installed. Without root or apt nothing is: what lacks is named with the command that
// installs it, and a step that cannot do without it fails by name.

import { existsSync } from "node:fs";
import { installCommand } from "../set-up/context.mjs";

/** Each with what lacks without it. */
const PROGRAMS = [
  { command: "emcc", package: "emscripten", purpose: "to compile the WebAssembly module" },
  { command: "patch", package: "patch", purpose: "to patch libslirp's source" },
  { command: "bzip2", package: "bzip2", purpose: "to unpack libslirp's source" },
  { command: "xz", package: "xz-utils", purpose: "to unpack the patches for libslirp" },
  { command: "zstd", package: "zstd", purpose: "to keep the state of a booted guest" },
  { command: "g++", package: "g++", purpose: "to build the native addons" },
  { command: "make", package: "make", purpose: "to build the native addons" },
  { command: "python3", package: "python3", purpose: "to build the native addons" },
  { command: "qemu-system-x86_64", package: "qemu-system-x86", purpose: "for QEMU guests" },
  { command: "chromium", package: "chromium", purpose: "to test the page" },
  { command: "tshark", package: "tshark", purpose: "to read captures back in tests" },
  { command: "websockify", package: "websockify", purpose: "to test against a relay of others" },
  { command: "ip", package: "iproute2", purpose: "for network namespaces in tests" },
  { command: "iperf3", package: "iperf3", purpose: "for traffic of others in tests" },
  { command: "curl", package: "curl", purpose: "for tests in network namespaces" },
  { command: "slirp4netns", package: "slirp4netns", purpose: "to compare ours with" },
  { command: "podman", package: "podman", purpose: "to test containers on our network" },
  { command: "crun", package: "crun", purpose: "to run Podman's containers" },
  { command: "rootlesskit", package: "rootlesskit", purpose: "to test it on our network" },
  { command: "newuidmap", package: "uidmap", purpose: "for RootlessKit" },
];

function missingPrograms(ctx) {
  return PROGRAMS.filter((program) => !ctx.has(program.command));
}

export default {
  name: "debian-packages",
  describe: "install the Debian packages that are missing",
  upToDate: (ctx) => missingPrograms(ctx).length === 0,
  async run(ctx) {
    const missing = missingPrograms(ctx);
    const packages = [...new Set(missing.map((program) => program.package))];
    if (ctx.canApt) {
      ctx.say(`missing: ${packages.join(", ")}`);
      await ctx.aptInstall(packages);
      return;
    }
    for (const { command, purpose } of missing) ctx.say(`missing: ${command}, ${purpose}`);
    const how = existsSync("/etc/debian_version")
      ? "install by"
      : "on Debian they are installed by";
    ctx.say(`${how}: ${installCommand(packages)}`);
  },
};
