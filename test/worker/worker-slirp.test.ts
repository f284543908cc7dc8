/** What a stack in a worker offers beyond frames, and what happens when the worker does wrong. On a worker of Node, with Node's sockets. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { ipAddress } from "../../src/address.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";
import type { SlirpBackend } from "../../src/slirp-backend.js";
import {
  createInWorker,
  makeWorkerScript,
  NodeWorker,
  type WorkerScript,
} from "../support/node-worker.js";
import { askForGateway } from "../support/noting-network.js";
import { waitUntil } from "../support/wait-until.js";

let script: WorkerScript | undefined;
const open: SlirpBackend[] = [];

beforeAll(async () => {
  script = await makeWorkerScript("", '(options.onLog?.("warning", "made in the worker"), {})');
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((slirp) => slirp.close()));
});

afterAll(async () => {
  await script?.[Symbol.asyncDispose]();
});

const startThread = (): NodeWorker => new NodeWorker(script?.path ?? "");

async function create(
  options?: Record<string, unknown>,
  worker: () => NodeWorker = startThread,
): Promise<SlirpBackend> {
  const slirp = await createInWorker(worker, options);
  open.push(slirp);
  return slirp;
}

describe("a stack in a worker", () => {
  it("tells its options, libslirp's version and its memory", async () => {
    const slirp = await create({ slirp: { hostname: "guest" } });
    expect(slirp.options.hostname).toBe("guest");
    expect(slirp.options.ipv4?.gateway.address).toBe("10.0.2.2");
    expect(slirp.libslirpVersion).toMatch(/^4\./);
    await slirp.sockets();
    expect(slirp.memoryBytes).toBeGreaterThan(1e6);
  });

  it("opens, lists and closes forwards", async () => {
    const slirp = await create();
    const added = await slirp.addForward("tcp:127.0.0.1:0-:80");
    expect(added).toMatchObject({ protocol: "tcp", guestPort: 80 });
    expect(added.host).toHaveProperty("port", expect.any(Number));
    expect(await slirp.forwards()).toEqual([added]);
    expect(await slirp.sockets()).toMatchObject([{ kind: "listener" }]);
    await slirp.removeForward(added);
    expect(await slirp.forwards()).toEqual([]);
  });

  it("rejects with the stack's own error, its code and what caused it", async () => {
    const taken = createServer();
    await once(taken.listen(0, "127.0.0.1"), "listening");
    const { port } = taken.address() as AddressInfo;
    const slirp = await create();
    const rule = `tcp:127.0.0.1:${String(port)}-:80`;
    const error = await slirp.addForward(rule).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SlirpError);
    expect(error).toMatchObject({
      code: ErrorCode.forwardFailed,
      message: expect.stringContaining(rule) as string,
      cause: { code: "EADDRINUSE" },
    });
    expect((error as SlirpError).cause).toBeInstanceOf(Error);
    taken.close();
  });

  it("rejects what throws in the same thread", async () => {
    const slirp = await create();
    await expect(slirp.removeForward("tcp::1-:1")).rejects.toMatchObject({
      code: ErrorCode.noSuchForward,
    });
    await expect(slirp.addForward("nonsense")).rejects.toBeInstanceOf(SlirpError);
    await expect(slirp.loadState(new Uint8Array(3))).rejects.toMatchObject({
      code: ErrorCode.invalidConfiguration,
    });
  });

  it("refuses bad options as the same thread does", async () => {
    const options = { slirp: { mtuBytes: 1 } };
    await expect(create(options)).rejects.toMatchObject({
      name: "SlirpError",
      code: ErrorCode.invalidConfiguration,
    });
  });

  it("tells both tables as text", async () => {
    const slirp = await create();
    expect(await slirp.connectionInfo()).toContain("Protocol");
    expect(await slirp.connections()).toEqual([]);
    expect(await slirp.neighborInfo()).toContain("MacAddr");
  });

  it("saves its state, which another one loads", async () => {
    const first = await create();
    const saved = await first.saveState();
    expect(saved.length).toBeGreaterThan(100);
    const second = await create();
    await second.loadState(saved);
  });

  it("calls callbacks among the options here", async () => {
    const onLog = vi.fn();
    await create({ onLog });
    expect(onLog).toHaveBeenCalledWith("warning", "made in the worker");
  });

  it("logs what the NIC's callback throws, and goes on", async () => {
    const onLog = vi.fn();
    const slirp = await create({ onLog });
    let frames = 0;
    slirp.callbacks = {
      onFrames: () => {
        frames++;
        throw new Error("the NIC is broken");
      },
    };
    slirp.enableReceive();
    const { request } = askForGateway(1);
    slirp.send(request);
    await waitUntil("a frame came", () => frames > 0);
    expect(onLog).toHaveBeenCalledWith("critical", expect.stringContaining("the NIC is broken"));
    const before = frames;
    slirp.send(request);
    await waitUntil("another one came", () => frames > before);
  });

  it("refuses what cannot go into a worker, with its place among the options", async () => {
    const hostNetwork = new (class OwnNetwork {
      readonly name = "own";
    })();
    await expect(create({ hostNetwork })).rejects.toMatchObject({
      code: ErrorCode.unsupportedOption,
      message: expect.stringContaining("hostNetwork: an instance of OwnNetwork") as string,
    });
    await expect(create({ wisp: { webSocket: WebSocketLike } })).rejects.toMatchObject({
      code: ErrorCode.unsupportedOption,
      message: expect.stringContaining("wisp.webSocket: a function") as string,
    });
  });

  it("is closed by its signal", async () => {
    const abort = new AbortController();
    const slirp = await create({ signal: abort.signal });
    abort.abort();
    expect(() => slirp.statistics()).toThrow(expect.objectContaining({ code: ErrorCode.closed }));
    await slirp.close();
  });

  it("is not made when its signal is aborted first, or meanwhile", async () => {
    const reason = new Error("enough");
    await expect(create({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const creating = create({ signal: abort.signal });
    abort.abort(reason);
    await expect(creating).rejects.toBe(reason);
  });

  it("rejects calls once it is closed", async () => {
    const slirp = await create();
    await slirp.close();
    await expect(slirp.sockets()).rejects.toMatchObject({ code: ErrorCode.closed });
    await expect(slirp.connect({ port: 80 })).rejects.toMatchObject({ code: ErrorCode.closed });
    const channel = { address: ipAddress("10.0.2.100"), port: 80, onData: () => undefined };
    await expect(slirp.openGuestChannel(channel)).rejects.toMatchObject({ code: ErrorCode.closed });
  });

  it("ends its worker when it is closed", async () => {
    const worker = startThread();
    const exited = once(worker.thread, "exit");
    const slirp = await create({}, () => worker);
    await slirp.close();
    await exited;
  });

  it("lets a worker that was given go on, which can have several stacks", async () => {
    const worker = startThread();
    const one = await createInWorker(worker);
    const other = await createInWorker(worker);
    await one.close();
    expect(await other.forwards()).toEqual([]);
    await other.close();
    const third = await createInWorker(worker);
    await third.close();
    await worker.thread.terminate();
  });
});

const WebSocketLike = (): void => undefined;

describe("a worker that", () => {
  it("dies is told to the NIC, and rejects what waits", async () => {
    const worker = startThread();
    const slirp = await create({}, () => worker);
    const errors: Error[] = [];
    slirp.callbacks = { onFrames: () => undefined, onError: (error) => errors.push(error) };
    const waiting = slirp.connect({ port: 80 }).catch((error: unknown) => error);
    await worker.thread.terminate();
    await waitUntil("it is told", () => errors.length > 0);
    expect(errors).toMatchObject([{ name: "SlirpError", code: ErrorCode.workerFailed }]);
    expect(await waiting).toMatchObject({ code: ErrorCode.workerFailed });
    await expect(slirp.sockets()).rejects.toMatchObject({ code: ErrorCode.workerFailed });
    expect(slirp.send(new Uint8Array(60))).toBe("dropped");
    expect(slirp.statistics().droppedFromGuest).toBe(1);
    await slirp.close();
  });

  it("has no script is a rejection", async () => {
    const creating = createInWorker(() => new NodeWorker("/nowhere/worker.mjs"));
    await expect(creating).rejects.toMatchObject({ code: ErrorCode.workerFailed });
  });

  it("cannot be made is a rejection, with the reason", async () => {
    const creating = createInWorker(() => {
      throw new Error("forbidden by the page's policy");
    });
    await expect(creating).rejects.toMatchObject({
      code: ErrorCode.workerFailed,
      message: expect.stringContaining("forbidden by the page's policy") as string,
    });
  });

  it("throws where nobody catches it is a rejection while it starts", async () => {
    const worker = new NodeWorker("throw new Error('broken script')", { eval: true });
    await expect(createInWorker(() => worker)).rejects.toMatchObject({
      code: ErrorCode.workerFailed,
      message: expect.stringContaining("broken script") as string,
    });
  });

  it("says nothing is a rejection after a minute", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const worker = new NodeWorker("setInterval(() => {}, 1e6)", { eval: true });
      const creating = createInWorker(() => worker).catch((error: unknown) => error);
      // The module is read from its file first.
      await vi.waitFor(() => {
        expect(vi.getTimerCount()).toBeGreaterThan(0);
      });
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await creating).toMatchObject({
        code: ErrorCode.workerFailed,
        message: expect.stringContaining("serveSlirp") as string,
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it("is of another version is a rejection", async () => {
    const old = `require("node:worker_threads").parentPort.on("message", ({ port }) => {
      port.postMessage({ kind: "hello", version: 0 });
    })`;
    const creating = createInWorker(() => new NodeWorker(old, { eval: true }));
    await expect(creating).rejects.toMatchObject({
      code: ErrorCode.workerFailed,
      message: expect.stringContaining("version") as string,
    });
  });
});
