/** TCP of the kernel itself, between programs in namespaces. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
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

/** Has one namespace fetch from another; answers "COUNT SHA256" as the client saw it. */
export async function transferByKernel(options: KernelTransfer): Promise<string> {
  const { server, client, host, port, megabytes } = options;
  const serving = server.spawn([process.execPath, "-e", SERVER(host, port, megabytes)]);
  try {
    await once(serving.stdout as NonNullable<ChildProcess["stdout"]>, "data");
    return (await client.run(process.execPath, "-e", CLIENT(host, port))).trim();
  } finally {
    serving.kill("SIGKILL");
  }
}
