/** TCP of the kernel itself, between programs in namespaces. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { promisify } from "node:util";
import type { NetworkNamespace } from "./network-namespace.js";

/** Sends `megabytes` of a repeated pattern to whoever connects, then the end; prints "ready". */
const SERVER = (host: string, port: number, megabytes: number): string => `
  const block = Buffer.alloc(1 << 20, "The quick brown fox. ");
  require("node:net").createServer((socket) => {
    socket.on("error", () => {});
    let left = ${String(megabytes)};
    const more = () => {
      while (left > 0) { left--; if (!socket.write(block)) return socket.once("drain", more); }
      socket.end();
    };
    more();
  }).listen(${String(port)}, ${JSON.stringify(host)}, () => console.log("ready"));`;

/** Reads to the end; prints count and hash. */
const CLIENT = (host: string, port: number): string => `
  const hash = require("node:crypto").createHash("sha256");
  let count = 0;
  const socket = require("node:net").connect(${String(port)}, ${JSON.stringify(host)});
  socket.on("data", (data) => { count += data.length; hash.update(data); });
  socket.on("error", (error) => { console.log(error.code); process.exit(1); });
  socket.on("close", () => console.log(count + " " + hash.digest("hex")));`;

/** How a transfer is made. */
export interface KernelTransfer {
  readonly server: NetworkNamespace;
  readonly client: NetworkNamespace;
  readonly host: string;
  readonly port: number;
  readonly megabytes: number;
}

/** Where one end is; without a namespace, in that of this process. */
export interface KernelEnd {
  readonly namespace?: NetworkNamespace;
  readonly host: string;
  readonly port: number;
}

/** Serves whoever connects, until it is stopped. */
export async function serveByKernel(
  options: KernelEnd & { readonly megabytes: number },
): Promise<{ stop(): void }> {
  const { namespace, host, port, megabytes } = options;
  const words = [process.execPath, "-e", SERVER(host, port, megabytes)];
  const serving = namespace ? namespace.spawn(words) : spawnHere(words);
  await once(serving.stdout as NonNullable<ChildProcess["stdout"]>, "data");
  return { stop: () => void serving.kill("SIGKILL") };
}

/** Fetches what is served; answers "COUNT SHA256" as it arrived. */
export async function fetchByKernel({ namespace, host, port }: KernelEnd): Promise<string> {
  const words = ["-e", CLIENT(host, port)];
  const output = namespace
    ? await namespace.run(process.execPath, ...words)
    : (await promisify(execFile)(process.execPath, words)).stdout;
  return output.trim();
}

/** What a client says that has got all of what is served, unchanged. */
export function sumOfServed(megabytes: number): string {
  const hash = createHash("sha256");
  const block = Buffer.alloc(1 << 20, "The quick brown fox. ");
  for (let i = 0; i < megabytes; i++) hash.update(block);
  return `${String(megabytes << 20)} ${hash.digest("hex")}`;
}

function spawnHere([program = "", ...words]: readonly string[]): ChildProcess {
  return spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
}

/** Has one namespace fetch from another; answers "COUNT SHA256" as the client saw it. */
export async function transferByKernel(options: KernelTransfer): Promise<string> {
  const { server, client, host, port, megabytes } = options;
  const serving = await serveByKernel({ namespace: server, host, port, megabytes });
  try {
    return await fetchByKernel({ namespace: client, host, port });
  } finally {
    serving.stop();
  }
}
