/**
 * A TAP from a helper: a program with the right to open one and to put it into a bridge, which hands us the descriptor over a socket
 * (SCM_RIGHTS). The protocol is that of QEMU's bridge helper, so that an installed `qemu-bridge-helper` serves us too.
 */
import { spawn } from "node:child_process";
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapAddon } from "./tap-addon.js";

/** What QEMU asks for where nothing is said. */
const DEFAULT_BRIDGE = "br0";
/** The socket's number in the helper. */
const SOCKET = 3;

/** How to run a helper. */
export interface HelperOptions {
  readonly helper: string;
  readonly bridge?: string | undefined;
  /** Ask for a device with virtio-net header. */
  readonly vnetHeader: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Runs the helper and answers the descriptor that it sent. @throws SlirpError `deviceFailed`; the signal's reason */
export async function openByHelper(addon: TapAddon, options: HelperOptions): Promise<number> {
  const [ours, theirs] = addon.makeSocketPair();
  try {
    const ending = runHelper(options, theirs);
    addon.closeDescriptor(theirs);
    const { problem, words } = await ending;
    options.signal?.throwIfAborted();
    // What it sent before it ended lies in the socket.
    const fd = addon.receiveDescriptor(ours);
    if (problem === undefined && fd >= 0) return fd;
    if (fd >= 0) addon.closeDescriptor(fd);
    const what = `the helper ${JSON.stringify(options.helper)} ${problem ?? "sent no descriptor"}`;
    throw new SlirpError(ErrorCode.deviceFailed, words === "" ? what : `${what}: ${words}`);
  } finally {
    addon.closeDescriptor(ours);
  }
}

interface HelperEnd {
  readonly problem: string | undefined;
  readonly words: string;
}

function runHelper(options: HelperOptions, socket: number): Promise<HelperEnd> {
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

/** As QEMU: what has a space in it is a command line for the shell, which is given the socket and, unless it says so itself, the bridge. */
function commandLine({
  helper,
  bridge = DEFAULT_BRIDGE,
  vnetHeader,
}: HelperOptions): [string, string[]] {
  const ask = [`--fd=${SOCKET}`, `--br=${bridge}`];
  if (!/[ \t]/.test(helper)) return [helper, vnetHeader ? ["--use-vnet", ...ask] : ask];
  const rest = helper.includes("--br=") ? ask.slice(0, 1) : ask;
  return ["/bin/sh", ["-c", `${helper} ${rest.map(quoteForShell).join(" ")}`]];
}

function quoteForShell(word: string): string {
  return /^[\w.,:=/@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
