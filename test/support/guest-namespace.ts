/**
 * A network namespace with nothing in it but a process that waits: what a container is to `slirp-wasm netns`. As root it is a network
 * namespace alone, as an ordinary user it has a user namespace around it.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { BECOME_NOBODY } from "./as-nobody.js";
import { killChild } from "./kill-child.js";

const run = promisify(execFile);

/** Why namespaces with a TAP cannot be had here; undefined where they can. */
export const WHY_NO_NAMESPACES: string | undefined =
  process.platform !== "linux"
    ? "network namespaces are Linux's"
    : process.getuid?.() !== 0
      ? "the tests make network namespaces and a device file, which takes root"
      : undefined;

/** See the top of the file. */
export class GuestNamespace {
  readonly #holder: ChildProcess;
  readonly #isUser: boolean;

  private constructor(holder: ChildProcess, isUser: boolean) {
    this.#holder = holder;
    this.#isUser = isUser;
  }

  static async create(options: { asUser?: boolean } = {}): Promise<GuestNamespace> {
    const isUser = options.asUser ?? false;
    const words = [
      ...(isUser ? [...BECOME_NOBODY, "unshare", "--user", "--map-root-user"] : ["unshare"]),
      // `cat` ends when our end of its input does, should this process be killed.
      ...["--net", "sh", "-c", "echo ready && exec cat"],
    ];
    const holder = spawn(words[0] ?? "", words.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(holder, "exit").then(() => {
      throw new Error(`the namespace could not be made by ${words.join(" ")}`);
    });
    ended.catch(() => undefined);
    await Promise.race([once(holder.stdout, "data"), ended]);
    return new GuestNamespace(holder, isUser);
  }

  /** A process that is in it. */
  get pid(): number {
    return this.#holder.pid ?? -1;
  }

  /** The file of its network or user namespace. */
  path(kind: "net" | "user"): string {
    return `/proc/${String(this.pid)}/ns/${kind}`;
  }

  /** The command line that runs a program in it. */
  command(...words: string[]): string[] {
    const user = this.#isUser ? [`--user=${this.path("user")}`, "--preserve-credentials"] : [];
    return ["nsenter", ...user, `--net=${this.path("net")}`, "--", ...words];
  }

  /** Runs a program in it to its end; answers its standard output. Rejects where it fails. */
  async run(...words: string[]): Promise<string> {
    const [program = "", ...args] = this.command(...words);
    return (await run(program, args, { maxBuffer: 2 ** 27 })).stdout;
  }

  /** As {@link run}, but as one who may change the namespace's interfaces. */
  async administer(...words: string[]): Promise<string> {
    const user = this.#isUser ? [`--user=${this.path("user")}`, "--setuid=0"] : [];
    const line = [...user, `--net=${this.path("net")}`, "--", ...words];
    return (await run("nsenter", line)).stdout;
  }

  /** As {@link run}, but answers the exit status, whatever it is. */
  async status(...words: string[]): Promise<number> {
    const [program = "", ...args] = this.command(...words);
    const child = spawn(program, args, { stdio: "ignore" });
    const [status] = (await once(child, "exit")) as [number | null];
    return status ?? -1;
  }

  /** Runs a script of Node's in it; answers what it prints. */
  async runScript(script: string): Promise<string> {
    return this.run(process.execPath, "--input-type=module", "-e", script);
  }

  /** What `ip -json` prints. */
  async ip<T>(...words: string[]): Promise<T> {
    return JSON.parse(await this.run("ip", "-json", ...words)) as T;
  }

  /** Starts a program in it; the caller ends it. */
  spawn(...words: string[]): ChildProcess {
    const [program = "", ...args] = this.command(...words);
    return spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  }

  close(): Promise<void> {
    return killChild(this.#holder);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
