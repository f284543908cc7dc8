/**
 * What the cases of `own-process.ts` do in a process of their own. Each task prints one line that the case expects.
 */
import { connect } from "node:net";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import {
  Errno,
  type HostListener,
  type HostNetwork,
  type HostStream,
} from "../../src/host-network.js";

type MakeNetwork = () => HostNetwork | Promise<HostNetwork>;

const LOOPBACK = ipEndpoint("127.0.0.1", 0);

/** Longer than anything that does not wait for it takes. */
const HOLD_MS = 1500;

/** Runs one task of the table below. */
export async function runTask(make: MakeNetwork, name: string | undefined): Promise<void> {
  const task = TASKS[name ?? ""];
  if (!task) throw new Error(`no task "${String(name)}"`);
  await task(await make());
}

const TASKS: Record<string, (network: HostNetwork) => Promise<void>> = {
  held: async (network) => {
    await openOneOfEach(network);
    startTimer(network);
  },
  "not-held": async (network) => {
    process.once("exit", () => console.log("nothing else to do"));
    await openOneOfEach(network);
    startTimer(network);
    network.unref();
  },
  "not-held-later": async (network) => {
    process.once("exit", () => console.log("nothing else to do"));
    network.unref();
    // Something must keep the process while the sockets are being opened.
    const held = setInterval(() => undefined, 1000);
    await openOneOfEach(network);
    startTimer(network);
    clearInterval(held);
  },
  "held-again": async (network) => {
    network.unref();
    const held = setInterval(() => undefined, 1000);
    await openOneOfEach(network);
    startTimer(network);
    network.ref();
    clearInterval(held);
  },
  "idle-timer": (network) => {
    process.once("exit", () => console.log("nothing else to do"));
    network.setTimer(() => console.log("the timer fired"), HOLD_MS, false);
    network.unref();
    network.ref();
    return Promise.resolve();
  },
  closed: async (network) => {
    await openOneOfEach(network);
    network.setTimer(() => console.log("a timer after close"), HOLD_MS);
    await network.close();
    console.log("closed");
  },
  "no-descriptors": async (network) => {
    const listener = await network.listenStream(LOOPBACK);
    const streams = await connectUntilEmfile(network, listener);
    const command = network.openCommand?.("true");
    if (command !== undefined) expectNegative("command", command, Errno.EMFILE);
    expectNegative("UDP socket", network.openDatagram(4), Errno.EMFILE);
    const second = await network.listenStream(LOOPBACK).catch((error: unknown) => error);
    if ((second as NodeJS.ErrnoException).code !== "EMFILE") throw second;
    for (const stream of streams) stream.close();
    await goesOn(listener);
    await network.close();
    console.log("EMFILE was told, then all went on");
  },
};

/** A listener, both ends of a stream, a UDP socket. */
async function openOneOfEach(network: HostNetwork): Promise<void> {
  const listener = await network.listenStream(LOOPBACK);
  const outgoing = network.connectStream(listener.localEndpoint);
  if (typeof outgoing === "number") throw new Error(`connectStream: ${String(outgoing)}`);
  await new Promise<void>((resolve) => (listener.onReady = () => resolve()));
  if (!listener.accept()) throw new Error("nothing to accept");
  if (typeof network.openDatagram(4) === "number") throw new Error("no UDP socket");
}

/** Fires, says so and closes the network, unless the process has ended before. */
function startTimer(network: HostNetwork): void {
  network.setTimer(() => {
    console.log("the timer fired");
    void network.close();
  }, HOLD_MS);
}

/** Connects to a listener of this process until that fails; what it accepts counts too. */
async function connectUntilEmfile(
  network: HostNetwork,
  listener: HostListener,
): Promise<HostStream[]> {
  const streams: HostStream[] = [];
  listener.onReady = () => {
    for (let next = listener.accept(); next; next = listener.accept()) streams.push(next);
  };
  for (;;) {
    const stream = network.connectStream(listener.localEndpoint);
    if (typeof stream === "number") {
      expectNegative("stream", stream, Errno.EMFILE);
      return streams;
    }
    streams.push(stream);
    await new Promise<void>((resolve) => (stream.onReady = () => resolve()));
    const error = stream.takeError();
    if (error === Errno.EMFILE) return streams;
    // Turned away by the listener, which has no descriptor left either.
    if (error !== 0 && error !== Errno.ECONNRESET) throw new Error(`errno ${String(error)}`);
  }
}

function expectNegative(what: string, answer: unknown, errno: number): void {
  if (answer !== -errno) throw new Error(`${what}: ${String(answer)} and not -${String(errno)}`);
}

/** Whether the listener still takes connections and data still flows. */
async function goesOn(listener: HostListener): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  while (listener.accept()) continue;
  const { port, address } = listener.localEndpoint as IpEndpoint;
  const peer = connect(port, address);
  const accepted = await new Promise<HostStream>((resolve) => {
    const accept = (): void => {
      const stream = listener.accept();
      if (stream) resolve(stream);
    };
    listener.onReady = accept;
    accept();
  });
  const text = new Promise<string>((resolve) =>
    peer.once("data", (bytes: Buffer) => resolve(bytes.toString())),
  );
  accepted.send(Buffer.from("going on"));
  if ((await text) !== "going on") throw new Error("other bytes");
  peer.destroy();
}
