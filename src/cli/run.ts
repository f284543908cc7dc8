/**
 * `slirp-wasm run`: the Linux guest under v86 on a stack of its own, in the terminal.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import { attachV86 } from "../nics/v86.js";
import { formatHostForward } from "../slirp-options.js";
import type { Slirp } from "../slirp/slirp.js";
import { openCapture } from "./capture-file.js";
import { Ending } from "./ending.js";
import { EndedEarly, ExitStatus } from "./exit-status.js";
import type { GuestNetwork } from "./guest-network.js";
import type { V86Nic } from "./guest-machine.js";
import { createLog, type CliLog, type LogOptions } from "./logging.js";
import { readNetworkFlags, readSeconds, type NetworkFlags } from "./options.js";
import { MarkedOutput } from "./marked-output.js";
import { openStack } from "./open-stack.js";
import { HOW_TO_LEAVE, isInteractive, terminalSize, typeInput, typeKeys } from "./terminal.js";
import { V86Guest } from "./v86-guest.js";

/** The command's own options, as written. */
export interface RunFlags {
  readonly nic: string;
  readonly timeout?: string;
  /** False with `--no-state`. */
  readonly state: boolean;
}

/** A router advertisement is there by then, if there is one. */
const IPV6_TIMEOUT_MS = 10_000;

/** Runs the command; answers the exit status. */
export async function runGuest(
  words: readonly string[],
  flags: RunFlags & NetworkFlags & LogOptions,
): Promise<number> {
  const nic = readNic(flags.nic);
  const timeoutMs =
    flags.timeout === undefined ? undefined : readSeconds("--timeout", flags.timeout);
  const options = readNetworkFlags(flags);
  const log = await createLog(flags);
  // v86 says some things on the console, which is the guest's.
  Object.assign(console, {
    log: (...what: unknown[]) => {
      log.debug({ v86: what.map(String) }, "v86 says something");
    },
  });
  using ending = new Ending({ timeoutMs });
  using capture = openCapture(flags.capture, log);
  await using slirp = await openStack(options, log);
  await using guest = await V86Guest.start({
    nic,
    useState: flags.state,
    signal: ending.signal,
    onProgress: (text) => {
      log.info({}, text);
    },
  });
  using attachment = attachV86(guest.emulator, capture?.around(slirp) ?? slirp, { nic });
  log.info({}, await joinNetwork(guest, slirp, ending.signal));
  const status = await serve(guest, words, ending, log);
  log.debug({ ...slirp.statistics(), ...attachment.statistics() }, "the guest has ended");
  return status;
}

function readNic(text: string): V86Nic {
  if (text === "virtio" || text === "ne2k") return text;
  throw new SlirpError(
    ErrorCode.invalidConfiguration,
    `--nic ${JSON.stringify(text)}: there is no such card; write "virtio" or "ne2k"`,
  );
}

/** Brings the guest's NIC up; answers what there is to say about it, in one line. */
async function joinNetwork(guest: V86Guest, slirp: Slirp, signal: AbortSignal): Promise<string> {
  const { ipv4, disableDhcp } = slirp.options;
  const hasLease = ipv4 !== undefined && !disableDhcp;
  const network = await guest.configureNetwork({
    ipv4: hasLease,
    ipv6TimeoutMs: hasLease ? 0 : IPV6_TIMEOUT_MS,
    signal,
  });
  const forwards = slirp.forwards().map(formatHostForward);
  return [describeNetwork(network), ...forwards.map((rule) => `forward ${rule}`)].join("; ");
}

function describeNetwork(network: GuestNetwork): string {
  const { address, prefixLength = 0, gateway, nameservers, ipv6Addresses } = network;
  const parts: string[] = [];
  if (address !== undefined) parts.push(`address ${address}/${String(prefixLength)}`);
  for (const ipv6 of ipv6Addresses) {
    parts.push(`address ${ipv6.address}/${String(ipv6.prefixLength)}`);
  }
  if (gateway !== undefined) parts.push(`gateway ${gateway}`);
  if (nameservers.length > 0) parts.push(`name server ${nameservers.join(" ")}`);
  return `the guest has ${parts.length > 0 ? parts.join(", ") : "no address"}`;
}

/** The shell or the command, until it, the guest or the person at the terminal ends it. */
async function serve(
  guest: V86Guest,
  words: readonly string[],
  ending: Ending,
  log: CliLog,
): Promise<number> {
  const command = words.length > 0 ? commandLine(words) : undefined;
  try {
    if (!isInteractive()) return await runWithInput(guest, command ?? SHELL_OF_INPUT, ending, log);
    if (command === undefined) log.info({}, HOW_TO_LEAVE);
    return await runInTerminal(guest, command, ending);
  } catch (error) {
    // A guest that powers itself off has ended in good order.
    if (error instanceof SlirpError && error.code === ErrorCode.closed) return ExitStatus.success;
    throw error;
  }
}

async function runInTerminal(
  guest: V86Guest,
  command: string | undefined,
  { signal, end }: Ending,
): Promise<number> {
  const keys = typeKeys(guest, () => {
    end(new EndedEarly("left by Ctrl-] x", ExitStatus.success, { isQuiet: true }));
  });
  try {
    return await guest.shell({ signal, onOutput: writeOutput, command, ...terminalSize() });
  } finally {
    keys[Symbol.dispose]();
  }
}

/** A shell that takes its lines from standard input and does not take that for a terminal: no prompt. */
const SHELL_OF_INPUT = "cat | sh";

/** What the guest prints before the command: from then on, what is typed is the command's and is not echoed. */
const READY_MARK = "\u0001ready\u0002";

async function runWithInput(
  guest: V86Guest,
  command: string,
  ending: Ending,
  log: CliLog,
): Promise<number> {
  const over = new AbortController();
  const isOver = AbortSignal.any([ending.signal, over.signal]);
  let typing: Promise<void> | undefined;
  const output = new MarkedOutput(READY_MARK, writeOutput, () => {
    typing = typeInput(guest, isOver).catch((err: unknown) => {
      log.debug({ err }, "standard input was not typed to its end");
    });
  });
  const marked = `printf '\\001ready\\002'; ${command}`;
  try {
    return await guest.run(marked, {
      signal: ending.signal,
      onOutput: (bytes) => {
        output.push(bytes);
      },
    });
  } finally {
    over.abort();
    await typing;
  }
}

function writeOutput(bytes: Uint8Array): void {
  process.stdout.write(bytes);
}

/** One word is a line for the guest's shell; several are quoted, so that each arrives as it is. */
export function commandLine(words: readonly string[]): string {
  const [first = ""] = words;
  if (words.length === 1) return first;
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}
