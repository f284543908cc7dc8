#!/usr/bin/env node
/**
 * The program `slirp-wasm`: its commands, and what is the same for all of them, that is help, bad use and the end.
 *
 * A command's own file is loaded when it is run, so that help is quick. Bad use is one line and status 2.
 */
import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { EndedEarly, ExitStatus, statusOfError } from "./exit-status.js";
import { createLog, errorText, oneLine, PROGRAM_NAME, type LogOptions } from "./logging.js";
import { addNetworkOptions, type NetworkFlags } from "./options.js";
import type { QemuFlags } from "./qemu.js";
import type { RunFlags } from "./run.js";

const EXAMPLES = `
Examples:
  ${PROGRAM_NAME} run                                     a Linux guest with a network, and its shell
  ${PROGRAM_NAME} run -- wget -qO- http://10.0.2.2:8000/  one command in it; its output and status are ours
  ${PROGRAM_NAME} run --hostfwd tcp:127.0.0.1:8080-:80    its port 80 is port 8080 here
  ${PROGRAM_NAME} qemu --listen unix:/tmp/net.sock        a network for QEMU; prints QEMU's options

Exit status: 0, or the guest's command's; 1 for a failure, 2 for bad use, 124 when --timeout ran out.`;

const RUN_HELP = `
COMMAND: several words are run as they are, one word is given to the guest's shell. Without one, and with a terminal,
you get a shell; leave it with "exit", or at any time with Ctrl-] x.

Examples:
  ${PROGRAM_NAME} run --nic ne2k -- ip address
  ${PROGRAM_NAME} run --timeout 60 -- 'ping -c 3 10.0.2.2 && nslookup debian.org'
  ${PROGRAM_NAME} run --hostfwd tcp::2222-:22 --hostfwd udp::5353-:53
  ${PROGRAM_NAME} run --netdev user,net=192.168.76.0/24,hostname=guest`;

const QEMU_HELP = `
Prints, on standard output, the options that make QEMU use this network. Guests that come at the same time have a stack
each (with the same --hostfwd rules, so that only one can have a given host port), or one together with --shared.
A guest that loses its connection finds its stack again. Give each guest a MAC address of its own.

Examples:
  ${PROGRAM_NAME} qemu --listen unix:/tmp/net.sock --hostfwd tcp:127.0.0.1:2222-:22
  ${PROGRAM_NAME} qemu --listen tcp:127.0.0.1:1234 --shared
  ${PROGRAM_NAME} qemu --listen udp:127.0.0.1:1234 --dgram`;

/** The commands. Actions answer by `finish` with the status that the process ends with. */
function buildProgram(finish: (status: number) => void): Command {
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  const program = new Command(PROGRAM_NAME)
    .description("A network without privileges for guests: libslirp in WebAssembly.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .option("--json", "say everything in JSON lines, on standard error")
    .option("--verbose", "say more")
    .addHelpText("after", EXAMPLES)
    // Errors are printed by us: one line.
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });

  addNetworkOptions(
    program
      .command("run")
      .description("run a Linux guest under v86 on this network")
      .argument("[command...]", 'what to run in it, behind "--"')
      .option("--nic <type>", "the guest's network card: virtio or ne2k", "virtio"),
  )
    .option("--timeout <seconds>", "end with status 124 after that time")
    .option("--no-state", "boot the guest afresh, instead of restoring the booted one")
    .addHelpText("after", RUN_HELP)
    .action(
      async (words: string[], flags: RunFlags & NetworkFlags & LogOptions, command: Command) => {
        const { runGuest } = await import("./run.js");
        finish(await runGuest(words, command.optsWithGlobals<typeof flags>()));
      },
    );

  addNetworkOptions(
    program
      .command("qemu")
      .description("give QEMU guests this network, over QEMU's socket network cards")
      .requiredOption("--listen <address>", "unix:PATH, tcp:HOST:PORT, or udp:HOST:PORT"),
  )
    .option("--dgram", "QEMU's -netdev dgram: bare frames over UDP, one guest")
    .option("--shared", "one stack for all guests, which reach each other")
    .addHelpText("after", QEMU_HELP)
    .action(async (flags: QemuFlags & NetworkFlags & LogOptions, command: Command) => {
      const { serveQemu } = await import("./qemu.js");
      finish(await serveQemu(command.optsWithGlobals<typeof flags>()));
    });
  return program;
}

/** Runs what the command line says; answers the exit status. */
async function main(words: readonly string[]): Promise<number> {
  let status: number = ExitStatus.success;
  const program = buildProgram((ended) => {
    status = ended;
  });
  try {
    await program.parseAsync(words, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return ExitStatus.success;
      return fail(program, misuse(error), ExitStatus.usage);
    }
    if (error instanceof EndedEarly && error.isQuiet) return error.status;
    return fail(program, errorText(error), statusOfError(error));
  }
}

/** Commander's message without its prefix; without a command, it has none. */
function misuse(error: CommanderError): string {
  if (error.code === "commander.help") return `there is no command; see ${PROGRAM_NAME} --help`;
  return error.message.replace(/^error: /, "");
}

async function fail(program: Command, message: string, status: number): Promise<number> {
  const log = await createLog(program.opts<LogOptions>());
  log.error({ status }, oneLine(message));
  return status;
}

const status = await main(process.argv.slice(2));
// What was printed must be out, and nothing that is still open may keep the process.
await Promise.all(
  [process.stdout, process.stderr].map(
    (stream) =>
      new Promise<void>((resolve) =>
        stream.write("", () => {
          resolve();
        }),
      ),
  ),
);
process.exit(status);
