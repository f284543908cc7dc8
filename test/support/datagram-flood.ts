/** Starts `datagram-flood.mjs`: numbered datagrams at a rate, and what of them comes. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Command } from "./iperf.js";
import { killChild } from "./kill-child.js";

const PROGRAM = fileURLToPath(new URL("datagram-flood.mjs", import.meta.url));

/** What is sent. */
export interface Flood {
  readonly host: string;
  readonly port: number;
  readonly count: number;
  /** Datagrams a second; null for as fast as it goes. */
  readonly perSecond: number | null;
  /** Of each, at least 4. */
  readonly bytes: number;
}

/** Sends, to the end: then the kernel has taken all. */
export async function sendFlood(command: Command, flood: Flood): Promise<void> {
  const [program = "", ...args] = command(process.execPath, PROGRAM, "send", JSON.stringify(flood));
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const [status] = (await once(child, "exit")) as [number | null];
  if (status !== 0) throw new Error(`the sender ended with status ${String(status)}`);
}

/** What has come to a socket so far. */
export interface FloodCount {
  readonly port: number;
  /** Different ones. */
  readonly received: number;
  /** Those that came again. */
  readonly repeated: number;
  /** Those that the kernel had no room for in the socket. */
  readonly dropped: number;
}

/** A socket that counts. */
export class FloodCounter {
  count: FloodCount = { port: 0, received: 0, repeated: 0, dropped: 0 };
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** At a port of its own where it is 0. */
  static async start(command: Command, host: string, port = 0): Promise<FloodCounter> {
    const at = JSON.stringify({ host, port });
    const [program = "", ...args] = command(process.execPath, PROGRAM, "count", at);
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    const counter = new FloodCounter(child);
    const lines = createInterface(child.stdout).on("line", (line) => {
      counter.count = JSON.parse(line) as FloodCount;
    });
    await Promise.race([
      once(lines, "line"),
      once(child, "exit").then(() => Promise.reject(new Error("the counter ended"))),
    ]);
    return counter;
  }

  close(): Promise<void> {
    return killChild(this.#child);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What the kernel had no room for in a socket of this machine's: the last column (proc(5)). */
export function droppedBySocket(port: number): number {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const text = ["/proc/net/udp", "/proc/net/udp6"].map((path) => readFileSync(path, "latin1"));
  const rows = text.flatMap((each) => each.split("\n")).map((line) => line.trim().split(/\s+/));
  return Number(rows.find((row) => row[1]?.endsWith(hex))?.at(-1) ?? 0);
}
