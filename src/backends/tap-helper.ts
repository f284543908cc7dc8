/**
 * A TAP from a helper: a program with the right to open one and to put it into a bridge, which hands us the descriptor over a socket
 * (SCM_RIGHTS). The protocol is that of QEMU's bridge helper, so that an installed `qemu-bridge-helper` serves us too, and what serves
 * QEMU serves us: it is asked for a device with virtio-net header, for the number of its end of the socket, and for a bridge.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapAddon } from "./tap-addon.js";
import { codeOf } from "./tap-errors.js";

/** What QEMU asks for where nothing is said. */
const DEFAULT_BRIDGE = "br0";
/** The socket's number in the helper. */
const SOCKET = 3;
/** Where QEMU's own helper is: Debian, Arch and Alpine; Fedora and openSUSE; what was built by oneself. */
const QEMU_HELPERS = [
  "/usr/lib/qemu/qemu-bridge-helper",
  "/usr/libexec/qemu-bridge-helper",
  "/usr/local/libexec/qemu-bridge-helper",
] as const;

/** How to run a helper. */
export interface HelperOptions {
  /** `true` for QEMU's own. */
  readonly helper: string | true;
  readonly bridge?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Runs the helper and answers the descriptor that it sent. @throws SlirpError `deviceFailed`; the signal's reason */
export async function openByHelper(addon: TapAddon, options: HelperOptions): Promise<number> {
  const helper = options.helper === true ? findQemuHelper() : options.helper;
  const [ours, theirs] = addon.makeSocketPair();
  try {
    const ending = runHelper({ ...options, helper }, theirs);
    addon.closeDescriptor(theirs);
    const { problem, words } = await ending;
    options.signal?.throwIfAborted();
    // What it sent before it ended lies in the socket.
    const [fd, refusal] = receive(addon, ours);
    if (problem === undefined && fd >= 0) return fd;
    if (fd >= 0) addon.closeDescriptor(fd);
    const what = `the helper ${JSON.stringify(helper)} ${problem ?? refusal}`;
    throw new SlirpError(ErrorCode.deviceFailed, words === "" ? what : `${what}: ${words}`);
  } finally {
    addon.closeDescriptor(ours);
  }
}

function findQemuHelper(): string {
  const found = QEMU_HELPERS.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const text = `QEMU's bridge helper is not there (tried: ${QEMU_HELPERS.join(", ")}); install QEMU, or name a helper`;
  throw new SlirpError(ErrorCode.deviceFailed, text);
}

/** What was found to be run. */
type NamedHelper = HelperOptions & { readonly helper: string };

const REFUSALS: Readonly<Record<string, string>> = {
  EPROTO: "sent several descriptors, where one is expected",
  EMFILE: "sent a descriptor that this process has no room for (EMFILE)",
};

/** The descriptor that lies in the socket; where there is none, -1 and what the helper did instead. */
function receive(addon: TapAddon, socket: number): [fd: number, refusal: string] {
  const nothing = "sent no descriptor";
  try {
    return [addon.receiveDescriptor(socket), nothing];
  } catch (cause) {
    return [-1, REFUSALS[codeOf(cause)] ?? nothing];
  }
}

interface HelperEnd {
  readonly problem: string | undefined;
  readonly words: string;
}

function runHelper(options: NamedHelper, socket: number): Promise<HelperEnd> {
  const [program, args] = commandLine(options);
  return new Promise((resolve) => {
    const { signal } = options;
    const child = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe", socket],
      ...(signal && { signal }),
    });
    let words = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-1000);
    });
    const end = (problem: string | undefined): void => {
      resolve({ problem, words: words.trim().replaceAll(/\s*\n\s*/g, "; ") });
    };
    child.on("error", (error) => {
      end(`could not be run (${error.message})`);
    });
    child.on("close", (code, ended) => {
      if (code === 0) end(undefined);
      else end(ended ? `was ended by ${ended}` : `ended with status ${String(code)}`);
    });
  });
}

/** As QEMU: what has a space in it is a command line for the shell, which is given the same words, but the bridge only where it does not say one. */
function commandLine({ helper, bridge = DEFAULT_BRIDGE }: NamedHelper): [string, string[]] {
  const ask = ["--use-vnet", `--fd=${SOCKET}`, `--br=${bridge}`];
  if (!/[ \t]/.test(helper)) return [helper, ask];
  const rest = helper.includes("--br=") ? ask.slice(0, -1) : ask;
  return ["/bin/sh", ["-c", `${helper} ${rest.map(quoteForShell).join(" ")}`]];
}

function quoteForShell(word: string): string {
  return /^[\w.,:=/@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
