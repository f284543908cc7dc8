/** The command line of `slirp-wasm tap`; what the commands do is in `tap.ts`, loaded when one is run. */
import type { Command } from "commander";
import type { LogOptions } from "./logging.js";
import { PROGRAM_NAME } from "./logging.js";
import { collect } from "./options.js";
import type { CreateTapFlags, NamespaceFlag } from "./tap.js";

const HELP = `
Interfaces made here stay until they are deleted. They take CAP_NET_ADMIN; --owner and --group let others open them without.
NAMESPACE is a name as "ip netns" has them, a path, or "pid:4711".

Examples:
  ${PROGRAM_NAME} tap create tap0 --ip 10.0.5.1/24 --owner 1000
  ${PROGRAM_NAME} tap create --netns blue --bridge br0 --mtu 9000   the first free number; prints the name
  ${PROGRAM_NAME} tap list --netns blue
  ${PROGRAM_NAME} tap delete tap0`;

const NAMESPACE = ["--netns <namespace>", "network namespace (default: one's own)"] as const;

/** Adds the command. Actions answer by `finish` with the exit status. */
export function addTapCommand(program: Command, finish: (status: number) => void): void {
  const tap = program
    .command("tap")
    .description("make, list and delete TAP interfaces that stay")
    .addHelpText("after", HELP);
  tap
    .command("create")
    .description("make a TAP; prints its name")
    .argument("[name]", 'at most 15 bytes; "%d" in it is the first free number', "tap%d")
    .option(...NAMESPACE)
    .option("--mac <address>", "MAC address, 52:54:00:12:34:56 (default: the kernel's choice)")
    .option("--bridge <name>", "put it into this bridge")
    .option(
      "--ip <address/prefix>",
      "address, 10.0.5.1/24 or fd00::1/64; may be given again",
      collect,
    )
    .option("--gateway <address>", "default route through it; once for each IP version", collect)
    .option("--mtu <bytes>", "largest packet, 68 to 65521 (default: 1500)")
    .option("--owner <number>", "user who may open it without privileges")
    .option("--group <number>", "group whose members may open it so")
    .option("--multi-queue", "with several queues")
    .option("--no-vnet-header", "frames without virtio-net header, hence without offloads")
    .option("--up", "set it up (so do --ip, --gateway and --bridge)")
    .action(async (name: string, flags: CreateTapFlags & LogOptions, command: Command) => {
      const { createTap } = await import("./tap.js");
      finish(await createTap(name, command.optsWithGlobals<typeof flags>()));
    });
  tap
    .command("list")
    .description("list TAPs with details; in JSON lines with --json")
    .option(...NAMESPACE)
    .action(async (flags: NamespaceFlag & LogOptions, command: Command) => {
      const { printTaps } = await import("./tap.js");
      finish(printTaps(command.optsWithGlobals<typeof flags>()));
    });
  tap
    .command("delete")
    .description("delete a TAP")
    .argument("<name>", "the interface's name")
    .option(...NAMESPACE)
    .action(async (name: string, flags: NamespaceFlag & LogOptions, command: Command) => {
      const { removeTap } = await import("./tap.js");
      finish(removeTap(name, command.optsWithGlobals<typeof flags>()));
    });
}
