/** Starts `many-connections.mjs`: many TCP connections at once, between a namespace and a server that echoes. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Command } from "./iperf.js";
import { killChild } from "./kill-child.js";

const PROGRAM = fileURLToPath(new URL("many-connections.mjs", import.meta.url));

/** Puts a limit of open files before a command line (prlimit(1) of util-linux). */
export function withOpenFiles(limit: number, words: readonly string[]): string[] {
  return ["prlimit", `--nofile=${String(limit)}:${String(limit)}`, ...words];
}

/** Why a process here cannot have so many open files; undefined where it can. */
export function whyNotOpenFiles(limit: number): string | undefined {
  const [program = "", ...args] = withOpenFiles(limit, ["true"]);
  return spawnSync(program, args).status === 0
    ? undefined
    : `a process cannot be given ${String(limit)} open files here (ulimit -n)`;
}

/** One end. */
class End {
  protected readonly child: ChildProcess;
  protected readonly lines: Interface;

  protected constructor(line: readonly string[]) {
    const [program = "", ...args] = line;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.child = child;
    this.lines = createInterface(child.stdout);
  }

  close(): Promise<void> {
    return killChild(this.child);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected async nextLine(): Promise<string> {
    const ended = once(this.child, "exit").then(() => {
      throw new Error("the program ended");
    });
    ended.catch(() => undefined);
    const [line] = (await Promise.race([once(this.lines, "line"), ended])) as [string];
    return line;
  }
}

/** Echoes. */
export class EchoServer extends End {
  port = 0;
  /** Connections that it has. */
  count = 0;

  static async start(command: Command, host: string, openFiles: number): Promise<EchoServer> {
    const words = withOpenFiles(openFiles, [process.execPath, PROGRAM, "serve", host]);
    const server = new EchoServer(command(...words));
    server.port = Number(await server.nextLine());
    server.lines.on("line", (line) => {
      server.count = Number(line);
    });
    return server;
  }
}

/** Has the connections. */
export class ConnectionCrowd extends End {
  static start(command: Command, host: string, port: number, openFiles: number): ConnectionCrowd {
    const line = [process.execPath, PROGRAM, "connect", host, String(port)];
    return new ConnectionCrowd(command(...withOpenFiles(openFiles, line)));
  }

  /** Opens so many more: "opened ALL FAILED", of which the second could not be opened. */
  open(count: number): Promise<string> {
    return this.#ask(`open ${String(count)}`);
  }

  /** Has each echo its number: "echoed COUNT" of those that got it back. */
  echo(): Promise<string> {
    return this.#ask("echo");
  }

  /** Ends all: "closed COUNT" of those that ended in good order. */
  end(): Promise<string> {
    return this.#ask("close");
  }

  async #ask(line: string): Promise<string> {
    this.child.stdin?.write(`${line}\n`);
    return this.nextLine();
  }
}
