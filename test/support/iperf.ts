/** iperf3 (Debian's package of that name) as somebody else's idea of traffic: what it says is checked for bytes and errors, never for speed. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { findFreePort } from "./free-port.js";
import { waitUntil } from "./wait-until.js";
import { killChild } from "./kill-child.js";

/** Why there is no iperf3; undefined where there is. */
export function whyNoIperf(): string | undefined {
  return spawnSync("iperf3", ["--version"]).error ? "iperf3 is not installed" : undefined;
}

/** One side of a stream, or the sum of all. */
export interface IperfSum {
  readonly bytes: number;
  /** Of UDP. */
  readonly packets?: number;
  readonly lost_packets?: number;
}

/** The part of iperf3's JSON that tests look at. */
export interface IperfResult {
  readonly error?: string;
  readonly end: { readonly sum_sent: IperfSum; readonly sum_received: IperfSum } & {
    /** Of UDP: what the receiver has counted. */
    readonly sum?: IperfSum;
  };
}

/** Starts a program; what `NetworkNamespace` and `GuestNamespace` give for one inside. */
export type Command = (...words: string[]) => readonly string[];

/** On the host itself. */
export const onHost: Command = (...words) => words;

/** `iperf3 --server`. */
export class IperfServer {
  readonly host: string;
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, host: string, port: number) {
    this.#child = child;
    this.host = host;
    this.port = port;
  }

  static async start(host: string, command = onHost, port?: number): Promise<IperfServer> {
    const at = port ?? (await findFreePort(host));
    const words = ["iperf3", "--server", "--forceflush", "--bind", host, "--port", String(at)];
    const [program = "", ...args] = command(...words);
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (text: Buffer) => (said += String(text)));
    child.stderr.on("data", (text: Buffer) => (said += String(text)));
    try {
      await waitUntil(`iperf3 listens at ${host}`, () => {
        if (child.exitCode !== null) throw new Error(`iperf3 ended: ${said}`);
        return said.includes("Server listening");
      });
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    return new IperfServer(child, host, at);
  }

  close(): Promise<void> {
    return killChild(this.#child);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Runs the client to its end. What goes wrong is in the result's `error`. */
export async function runIperf(
  command: Command,
  host: string,
  port: number,
  ...words: string[]
): Promise<IperfResult> {
  const line = ["iperf3", "--json", "--client", host, "--port", String(port), ...words];
  const [program = "", ...args] = command(...line);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (data: Buffer) => (text += String(data)));
  await once(child, "close");
  return JSON.parse(text) as IperfResult;
}
