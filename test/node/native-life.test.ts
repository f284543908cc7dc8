/** What the addon's sockets leave behind: nothing, however they end. And that they can be many. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeEach, describe, expect, it, type TestContext } from "vitest";
import { ipEndpoint } from "../../src/address.js";
import { Errno, type HostStream } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { bundleProgram, runShell } from "../host-network-contract/bundle-program.js";
import { ROOT } from "../house/scratch.js";
import { opened } from "../host-network-contract/stack-side.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

const LOOPBACK = ipEndpoint("127.0.0.1", 0);
const DIST = join(ROOT, "dist/node.js");

/** Both ends of each are ours. */
const MANY_CONNECTIONS = 5000;
const SPARE_FILES = 500;

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

function fileLimit(): number {
  const limits = readFileSync("/proc/self/limits", "latin1");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
}

/** A network, a listener of it, and connections between the two. */
async function connectPairs(count: number, busyPollUs = 0) {
  const network = createNodeHostNetwork({ sockets: "native", busyPollUs });
  const listener = await network.listenStream(LOOPBACK);
  const accepted: HostStream[] = [];
  const connected: HostStream[] = [];
  let wake = (): void => undefined;
  listener.onReady = () => {
    for (let next = listener.accept(); next; next = listener.accept()) accepted.push(next);
    wake();
  };
  while (connected.length < count) {
    const stream = opened(network.connectStream(listener.localEndpoint));
    connected.push(stream);
    stream.onReady = () => undefined;
    // As many at once as a queue of the kernel's holds.
    while (connected.length - accepted.length >= 100) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  while (accepted.length < count) await new Promise<void>((resolve) => (wake = resolve));
  return { network, listener, accepted, connected };
}

/** Waits until each stream has received a byte; answers how many errors there were. */
async function receiveByteOfEach(streams: readonly HostStream[]): Promise<number> {
  const target = new Uint8Array(10);
  const answers = streams.map((stream) => {
    const { promise, resolve } = withResolvers<number>();
    const read = (): void => {
      const answer = stream.receive(target);
      if (answer !== -Errno.EAGAIN) resolve(answer);
    };
    stream.onReady = read;
    read();
    return promise;
  });
  return (await Promise.all(answers)).filter((answer) => answer !== 1).length;
}

function withResolvers<Value>() {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => (resolve = settle));
  return { promise, resolve };
}

const missing = whyNoNativeSockets();

function skipWithout(context: TestContext): void {
  if (missing !== undefined) context.skip(missing);
}

describe("the addon's sockets", () => {
  beforeEach(skipWithout);

  it("leave no descriptor open when the network is closed", async () => {
    const before = openFiles();
    const { network, listener, accepted, connected } = await connectPairs(200);
    for (let i = 0; i < 20; i += 1) opened(network.openDatagram(4));
    await network.bindDatagram(LOOPBACK);
    for (const stream of accepted.slice(0, 50)) stream.reset();
    for (const stream of connected.slice(50, 100)) stream.close();
    opened(network.connectStream(listener.localEndpoint));
    expect(openFiles()).toBeGreaterThan(before + 300);
    await network.close();
    expect(openFiles()).toBe(before);
    for (const stream of [...accepted, ...connected]) stream.close();
    expect(openFiles()).toBe(before);
  });

  it.each([0, 100])("leave none open when networks come and go, polling for %i us", async (us) => {
    const before = openFiles();
    for (let i = 0; i < 100; i += 1) {
      const { network } = await connectPairs(2, us);
      await network.close();
    }
    expect(openFiles()).toBe(before);
  });

  it("can be ten thousand", async (context) => {
    const needed = 2 * MANY_CONNECTIONS + SPARE_FILES;
    if (fileLimit() < needed) context.skip(`it takes ${String(needed)} open files`);
    const { network, accepted, connected } = await connectPairs(MANY_CONNECTIONS);
    const byte = Uint8Array.of(1);
    const received = receiveByteOfEach(accepted);
    for (const stream of connected) expect(stream.send(byte)).toBe(1);
    expect(await received).toBe(0);
    const back = receiveByteOfEach(connected);
    for (const stream of accepted) stream.send(byte);
    expect(await back).toBe(0);
    await network.close();
  });

  it("end with their worker, in the middle of whatever they do", async () => {
    const before = openFiles();
    for (let i = 0; i < 5; i += 1) {
      const worker = new Worker(
        `const { createNodeHostNetwork, ipEndpoint } = await import(${JSON.stringify(DIST)});
         const { parentPort } = await import("node:worker_threads");
         const network = createNodeHostNetwork({ sockets: "native", busyPollUs: 100 });
         const listener = await network.listenStream(ipEndpoint("127.0.0.1", 0));
         listener.onReady = () => {
           const peer = listener.accept();
           if (peer) peer.onReady = () => { while (peer.receive(new Uint8Array(9)) > 0) peer.send(Uint8Array.of(1)); };
         };
         const stream = network.connectStream(listener.localEndpoint);
         let rounds = 0;
         stream.onReady = () => {
           while (stream.receive(new Uint8Array(9)) > 0) continue;
           if (rounds++ === 20) parentPort.postMessage("running");
           stream.send(Uint8Array.of(1));
         };`,
        { eval: true, execArgv: ["--input-type=module"] },
      );
      await new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
    }
    await expect.poll(openFiles).toBeLessThanOrEqual(before);
  });

  it("give all who are ready their edge though one throws", async () => {
    const program = `
      const { createNodeHostNetwork, ipEndpoint } = await import(${JSON.stringify(DIST)});
      const network = createNodeHostNetwork({ sockets: "native" });
      const sockets = [1, 2, 3].map(() => network.openDatagram(4));
      process.on("uncaughtException", (error) => console.log("caught", error.message));
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const [i, socket] of sockets.entries()) socket.onReady = (events) => {
        if (!(events & 1)) return;
        console.log("edge", i);
        if (i === 0) throw new Error("mine");
      };
      for (const { localEndpoint } of sockets) {
        sockets[0].sendTo(Uint8Array.of(1), ipEndpoint("127.0.0.1", localEndpoint.port));
      }
      setTimeout(() => network.close(), 200);`;
    const ended = await runShell('"$0" --input-type=module -e "$1"', process.execPath, program);
    expect(ended.code).toBe(0);
    expect(ended.output.split("\n").sort()).toEqual(["caught mine", "edge 0", "edge 1", "edge 2"]);
  });
});

describe("where there is no addon", () => {
  const folder = mkdtempSync(join(tmpdir(), "no-addon-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("native sockets are refused with what was tried, and auto takes Node's", async () => {
    const source = `
      import { createNodeHostNetwork } from "./src/node/node-host-network.js";
      try { createNodeHostNetwork({ sockets: "native" }); }
      catch (error) { console.log((error as { code: string }).code, (error as Error).message); }
      console.log(createNodeHostNetwork({ sockets: "auto" }).sockets);
      try { createNodeHostNetwork({ sockets: "raw" as never }); }
      catch (error) { console.log((error as Error).message); }`;
    const program = join(folder, "a/b/program.mjs");
    await bundleProgram(source, ROOT, program);
    const { output } = await runShell('SLIRP_WASM_ADDONS= "$0" "$1"', process.execPath, program);
    const [refused, kind, wrong] = output.split("\n");
    expect(refused).toMatch(/^ERR_SLIRP_ADDON_UNAVAILABLE .*sockets\.node is not there/);
    expect(kind).toBe("node");
    expect(wrong).toBe('sockets "raw": expected "node", "native" or "auto"');
  });
});

it("tells which sockets a network is on", async (context) => {
  skipWithout(context);
  for (const [sockets, kind] of [
    [undefined, "node"],
    ["node", "node"],
    ["native", "native"],
    ["auto", "native"],
  ] as const) {
    const network = createNodeHostNetwork(sockets ? { sockets } : {});
    expect(network.sockets).toBe(kind);
    await network.close();
  }
});
