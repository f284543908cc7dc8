#!/usr/bin/env node
/**
 * The program `slirp-wasm`: its commands, and what is the same for all of them, that is help, bad use and the end.
 *
 * A command's own file is loaded when it is run, so that help is quick. Bad use is one line and status 2.
 */
import { createRequire } from "node:module";
import { basename } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { EndedEarly, ExitStatus, statusOfError } from "./exit-status.js";
import { createLog, errorText, oneLine, PROGRAM_NAME, type LogOptions } from "./logging.js";
import { addNetworkOptions, type NetworkFlags } from "./options.js";
import type { DemoFlags } from "./demo.js";
import type { QemuFlags } from "./qemu.js";
import { addRelayCommand } from "./relay-command.js";
import type { RunFlags } from "./run.js";
import { addTapCommand } from "./tap-command.js";

const EXAMPLES = `
Examples:
  ${PROGRAM_NAME} run                                     a Linux guest with a network, and its shell
  ${PROGRAM_NAME} run -- wget -qO- http://10.0.2.2:8000/  one command in it; its output and status are ours
  ${PROGRAM_NAME} run --hostfwd tcp:127.0.0.1:8080-:80    its port 80 is port 8080 here
  ${PROGRAM_NAME} qemu --listen unix:/tmp/net.sock        a network for QEMU; prints QEMU's options
  ${PROGRAM_NAME} demo                                    a Linux guest in your browser; prints the URL
  ${PROGRAM_NAME} relay                                   a relay for emulators in pages; prints its URL
  ${PROGRAM_NAME} netns -c --mtu=65520 PID tap0           a network for a container, in place of slirp4netns

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

const DEMO_HELP = `
The page's relay reaches the public internet, this server and the system's resolvers. Ctrl-C ends it.

Examples:
  ${PROGRAM_NAME} demo
  ${PROGRAM_NAME} demo --listen 127.0.0.1:0   any free port; prints the URL`;

function addDemoCommand(program: Command, finish: (status: number) => void): void {
  program
    .command("demo")
    .description("serve the demo page: a Linux guest in a browser, with a relay of its own")
    .addOption(
      new Option("--listen <address>", "HOST:PORT, an IPv6 address in brackets").default(
        "127.0.0.1:8080",
        "127.0.0.1:8080",
      ),
    )
    .addHelpText("after", DEMO_HELP)
    .action(async (flags: DemoFlags & LogOptions, command: Command) => {
      const { serveDemo } = await import("./demo.js");
      finish(await serveDemo(command.optsWithGlobals<typeof flags>()));
    });
}

/** The commands. Actions answer by `finish` with the status that the process ends with. */
function buildProgram(finish: (status: number) => void): Command {
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  const program = new Command(PROGRAM_NAME)
    .description("A network without privileges for guests: libslirp in WebAssembly.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
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
      .addOption(
        new Option("--nic <type>", "the guest's network card: virtio or ne2k").default(
          "virtio",
          "virtio",
        ),
      ),
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
  addRelayCommand(program, finish);
  addDemoCommand(program, finish);
  addTapCommand(program, finish);
  // Its command line is slirp4netns's, and read by itself (see main); this is its line in the help.
  program
    .command("netns")
    .description("give a network namespace this network, with the command line of slirp4netns")
    .allowUnknownOption()
    .argument("[words...]");
  return program;
}

/** A program of that name is expected to have its command line, whoever it is. */
const SLIRP4NETNS = "slirp4netns";

/** Runs what the command line says; answers the exit status. */
async function main(calledAs: string, words: readonly string[]): Promise<number> {
  const isSlirp4netns = basename(calledAs) === SLIRP4NETNS;
  if (isSlirp4netns || words[0] === "netns") {
    const { runNetns } = await import("./netns.js");
    return isSlirp4netns
      ? runNetns(words, SLIRP4NETNS)
      : runNetns(words.slice(1), `${PROGRAM_NAME} netns`);
  }
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
      return fail(program, misuse(error, helpOf(program, words)), ExitStatus.usage);
    }
    if (error instanceof EndedEarly && error.isQuiet) return error.status;
    return fail(program, errorText(error), statusOfError(error));
  }
}

/** Commander's message without its prefix, and where to read more; without a command, it has none. */
function misuse({ code, message }: CommanderError, help: string): string {
  const problem =
    code === "commander.help" ? "there is no command" : message.replace(/^error: /, "");
  return `${problem.replace(/\.$/, "")}; see ${help}`;
}

/** What shows the help of the command that was meant, as far as the words name one. */
function helpOf(program: Command, words: readonly string[]): string {
  let command = program;
  const path = [PROGRAM_NAME];
  for (const word of words) {
    const inner = command.commands.find((one) => one.name() === word);
    if (!inner) break;
    command = inner;
    path.push(word);
  }
  return [...path, "--help"].join(" ");
}

async function fail(program: Command, message: string, status: number): Promise<number> {
  const log = await createLog(program.opts<LogOptions>());
  log.error({ status }, oneLine(message));
  return status;
}

const status = await main(process.argv[1] ?? "", process.argv.slice(2));
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
