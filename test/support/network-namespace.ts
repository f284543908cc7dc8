/**
 * Network namespaces that a test makes for itself: nothing in them reaches the machine's network, and they are gone with the process
 * that holds them.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { once } from "node:events";
import { promisify } from "node:util";
import { killChild } from "./kill-child.js";

const run = promisify(execFile);

/** Why there can be no TAP in a namespace here; undefined where there can. */
export function whyNoTap(): string | undefined {
  if (process.platform !== "linux") return "TAP devices are Linux's";
  if (process.getuid?.() !== 0) return "making a network namespace with a TAP takes root";
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    return "there is no /dev/net/tun that can be opened";
  }
  return undefined;
}

/** Why no TAP can go by vhost-net here; undefined where one can. */
export function whyNoVhost(): string | undefined {
  const missing = whyNoTap();
  if (missing !== undefined) return missing;
  try {
    accessSync("/dev/vhost-net", constants.R_OK | constants.W_OK);
  } catch {
    return "there is no /dev/vhost-net that can be opened (a guest that has it runs this: test/system/tap-vhost.test.ts)";
  }
  return undefined;
}

/** See the top of the file. Its loopback interface is up, and its interfaces have no IPv6 of their own accord. */
export class NetworkNamespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<NetworkNamespace> {
    // `cat` ends when our end of its input does, should this process be killed.
    const script =
      "ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 && echo ready && exec cat";
    const holder = spawn("unshare", ["--net", "sh", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(holder, "exit").then(() => {
      throw new Error("the network namespace could not be made");
    });
    ended.catch(() => undefined);
    await Promise.race([once(holder.stdout, "data"), ended]);
    return new NetworkNamespace(holder);
  }

  /** Process that is in it. */
  get pid(): number {
    return this.#holder.pid ?? -1;
  }

  /** As options that name a namespace take it. */
  get path(): string {
    return `/proc/${String(this.pid)}/ns/net`;
  }

  /** The command line that runs a program in it. */
  command(...words: string[]): [string, string[]] {
    return ["nsenter", [`--net=${this.path}`, "--", ...words]];
  }

  /** Runs a program in it to its end; answers its standard output. */
  async run(...words: string[]): Promise<string> {
    const [program, args] = this.command(...words);
    return (await run(program, args)).stdout;
  }

  /** Several commands of iproute2, a line each: "link set tap0 up". */
  async ip(lines: string): Promise<void> {
    const [program, args] = this.command("ip", "-batch", "-");
    const running = run(program, args);
    running.child.stdin?.end(lines);
    await running;
  }

  /** Starts a program in it; the caller ends it. */
  spawn(words: readonly string[]): ChildProcess {
    const [program, args] = this.command(...words);
    return spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  }

  close(): Promise<void> {
    return killChild(this.#holder);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
