/**
 * Ours under the name slirp4netns, and Debian's slirp4netns: the same tests for both.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { MAIN_PATH, type CliEnd } from "./cli.js";
import type { GuestNamespace } from "./guest-namespace.js";
import { waitUntil } from "./wait-until.js";

/** A program with slirp4netns's command line. */
export interface NetnsProgram {
  readonly name: string;
  readonly path: string;
}

function linkOurs(): string {
  const folder = mkdtempSync(join(tmpdir(), "slirp4netns-"));
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  // Everybody may run it.
  spawnSync("chmod", ["755", folder]);
  const path = join(folder, "slirp4netns");
  symlinkSync(MAIN_PATH, path);
  return path;
}

/** A link to our program. */
export const OURS: NetnsProgram = { name: "slirp-wasm", path: linkOurs() };

/** Debian's; undefined where it is not installed, or not asked about. */
export const NATIVE: NetnsProgram | undefined =
  process.env["SLIRP_WASM_TEST_PEERS"] !== "off" &&
  spawnSync("slirp4netns", ["--version"]).status === 0
    ? { name: "slirp4netns", path: "slirp4netns" }
    : undefined;

/** Those that can be compared here. */
export const PROGRAMS: readonly NetnsProgram[] = NATIVE ? [OURS, NATIVE] : [OURS];

/** How it is started. */
export interface StartOptions {
  /** Put before the command line: another user, another namespace. */
  readonly wrap?: (words: readonly string[]) => readonly string[];
  /** Descriptors beyond the exit and ready pipes, from 5 on. */
  readonly fds?: readonly number[];
}

const EXIT_FD = 3;
const READY_FD = 4;

/** A program that runs. */
export class NetnsProcess {
  readonly child: ChildProcess;
  output = "";
  errorOutput = "";
  readonly #closed: Promise<[number | null, NodeJS.Signals | null]>;

  constructor(program: NetnsProgram, words: readonly string[], options: StartOptions = {}) {
    const { wrap = (line: readonly string[]) => line, fds = [] } = options;
    const [path = "", ...args] = wrap([program.path, ...words]);
    this.child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", ...fds] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.errorOutput += text));
    // A test that fails leaves nothing running.
    const kill = (): void => void this.child.kill("SIGKILL");
    process.once("exit", kill);
    this.child.once("close", () => process.off("exit", kill));
    this.#closed = once(this.child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  }

  /** Starts it and waits until it says by the descriptor that it is ready. */
  static async start(
    program: NetnsProgram,
    words: readonly string[],
    options: StartOptions = {},
  ): Promise<NetnsProcess> {
    const fds = [`--exit-fd=${String(EXIT_FD)}`, `--ready-fd=${String(READY_FD)}`];
    const process = new NetnsProcess(program, [...fds, ...words], options);
    const text = await process.readyText();
    if (text === "1") return process;
    const { errorOutput } = await process.ended();
    throw new Error(
      `${program.name} ${words.join(" ")} said ${JSON.stringify(text)}: ${errorOutput}`,
    );
  }

  /** All that came through the ready descriptor, which it has closed. */
  async readyText(): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.child.stdio[READY_FD] as Readable) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  /** Closes the exit descriptor. */
  hangUp(): void {
    (this.child.stdio[EXIT_FD] as Socket).destroy();
  }

  async ended(): Promise<CliEnd> {
    const [status, signal] = await this.#closed;
    return { status, signal, output: this.output, errorOutput: this.errorOutput };
  }

  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Runs it to its end. */
export function runNetnsProgram(program: NetnsProgram, words: readonly string[]): Promise<CliEnd> {
  const process = new NetnsProcess(program, words);
  for (const stream of process.child.stdio.slice(EXIT_FD)) (stream as Socket).resume();
  return process.ended();
}

/** Until the guest may use its IPv6 address: by router advertisement it is there only after some time. */
export async function waitForIpv6(guest: GuestNamespace): Promise<void> {
  const words = ["-6", "-o", "address", "show", "tap0", "scope", "global", "-tentative"];
  await waitUntil("the guest has an IPv6 address that it may use", async () => {
    return (await guest.run("ip", ...words)).includes("inet6");
  });
}

/** One request to an API socket: what was answered, as JSON. */
export async function askApi(path: string, request: object | string): Promise<unknown> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.end(typeof request === "string" ? request : JSON.stringify(request));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}
