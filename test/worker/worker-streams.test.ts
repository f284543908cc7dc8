/**
 * Streams through a stack in a worker: the guest's own to real servers, connections from JavaScript to the guest, guest channels. Nothing is
 * lost, ends are told apart, errors keep their codes.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ipAddress } from "../../src/address.js";
import { ErrorCode } from "../../src/errors.js";
import type { GuestSocket, SlirpBackend } from "../../src/slirp-backend.js";
import { PeerKit, readToEnd } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import {
  createInWorker,
  makeWorkerScript,
  NodeWorker,
  type WorkerScript,
} from "../support/node-worker.js";
import { TcpFlag } from "../support/packet.js";
import type { RawConnection } from "../support/raw-connection.js";
import { RawGuest } from "../support/raw-guest.js";
import { waitUntil } from "../support/wait-until.js";

const MEGABYTE = 1024 * 1024;

let script: WorkerScript | undefined;
let worker: NodeWorker;
let slirp: SlirpBackend;
let guest: RawGuest;
const peers = new PeerKit();

beforeAll(async () => {
  script = await makeWorkerScript("", "{}");
});

afterAll(async () => {
  await peers.close();
  await script?.[Symbol.asyncDispose]();
});

async function start(): Promise<void> {
  worker = new NodeWorker(script?.path ?? "");
  slirp = await createInWorker(() => worker);
  guest = new RawGuest(slirp);
  guest.arp();
}

afterEach(async () => {
  await slirp.close();
  expect(guest.faults, "faults in the stack's frames").toEqual([]);
});

async function connectTo(
  signal?: AbortSignal,
): Promise<{ socket: GuestSocket; connection: RawConnection }> {
  let connection: RawConnection | undefined;
  guest.listen(80, (incoming) => {
    connection = incoming;
  });
  const socket = await slirp.connect({ port: 80, ...(signal && { signal }) });
  return { socket, connection: await guest.until(() => connection, "the guest's end") };
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces);
    pieces.push(value);
  }
}

const whyFails = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "it does not fail",
    (reason: unknown) => reason,
  );

describe("the guest's connections", () => {
  it("carry 8 MiB both ways unchanged, and end both ways", async () => {
    await start();
    const data = testBytes(8 * MEGABYTE);
    const server = await peers.tcpServer();
    const connection = guest.connect("10.0.2.2", (server.endpoint as { port: number }).port);
    await connection.opened();
    const peer = await server.connection();
    peer.write(data);
    peer.end();
    await guest.until(() => connection.finReceived, "FIN", 60_000);
    expect(connection.receivedDigest()).toBe(sha256(data));
    const received = readToEnd(peer);
    await connection.send(data, 60_000);
    connection.fin();
    expect(sha256(await received)).toBe(sha256(data));
  });

  it("hold a server back when the NIC stops taking frames, and lose nothing", async () => {
    await start();
    const data = testBytes(8 * MEGABYTE, 7);
    const server = await peers.tcpServer();
    const connection = guest.connect("10.0.2.2", (server.endpoint as { port: number }).port);
    await connection.opened();
    const peer = await server.connection();
    slirp.disableReceive();
    peer.write(data);
    peer.end();
    await waitUntil("frames wait", () => slirp.peek() > 0);
    slirp.enableReceive();
    await guest.until(() => connection.finReceived, "FIN", 60_000);
    expect(connection.receivedDigest()).toBe(sha256(data));
    peer.destroy();
  });
});

describe("connect", () => {
  it("gives a stream both ways, with ends of its own each way", async () => {
    await start();
    const { socket, connection } = await connectTo();
    expect((await socket.opened).remoteAddress).toBe("10.0.2.15:80");
    const data = testBytes(MEGABYTE);
    const writer = socket.writable.getWriter();
    await writer.write(data);
    await writer.close();
    await guest.until(() => connection.finReceived, "FIN");
    expect(connection.receivedDigest()).toBe(sha256(data));
    const reading = readAll(socket.readable);
    await connection.send(data);
    connection.fin();
    expect(sha256(await reading)).toBe(sha256(data));
    expect(await socket.closed).toBeUndefined();
  });

  it("rejects where the guest refuses, with the stack's code", async () => {
    await start();
    guest.listen(81, (connection) => {
      connection.synAck = () => {
        connection.segment({ seq: 0, flags: TcpFlag.rst | TcpFlag.ack });
      };
    });
    expect(await whyFails(slirp.connect({ port: 81 }))).toMatchObject({
      name: "SlirpError",
      code: ErrorCode.connectionRefused,
    });
    expect(await whyFails(slirp.connect({ port: 0 }))).toMatchObject({
      code: ErrorCode.invalidConfiguration,
    });
  });

  it("is given up with the signal's own reason, before and after it was made", async () => {
    await start();
    guest.listen(81, (connection) => {
      connection.synAck = () => undefined;
    });
    const reason = new Error("enough");
    const early = new AbortController();
    const connecting = slirp.connect({ port: 81, signal: early.signal });
    early.abort(reason);
    expect(await whyFails(connecting)).toBe(reason);
    const late = new AbortController();
    const { socket, connection } = await connectTo(late.signal);
    late.abort(reason);
    await guest.until(() => connection.reset, "RST");
    expect(await whyFails(socket.closed)).toBe(reason);
    expect(await whyFails(socket.readable.getReader().read())).toBe(reason);
  });

  it("that the guest resets fails everywhere with a typed error", async () => {
    await start();
    const { socket, connection } = await connectTo();
    const reading = whyFails(readAll(socket.readable));
    await connection.send(Buffer.from("last words"));
    connection.sendReset();
    const reset = { name: "SlirpError", code: ErrorCode.connectionReset };
    expect(await whyFails(socket.closed)).toMatchObject(reset);
    expect(await reading).toMatchObject(reset);
    expect(await whyFails(socket.writable.getWriter().write(new Uint8Array(1)))).toMatchObject(
      reset,
    );
  });

  it("is closed in good order: what was written arrives, and FIN", async () => {
    await start();
    const { socket, connection } = await connectTo();
    const writer = socket.writable.getWriter();
    await writer.write(Buffer.from("good bye"));
    writer.releaseLock();
    expect(await socket.close()).toBeUndefined();
    await guest.until(() => connection.finReceived, "FIN");
    expect(connection.take().toString()).toBe("good bye");
  });

  it("whose writable is aborted is reset, with the reason", async () => {
    await start();
    const { socket, connection } = await connectTo();
    const reason = new Error("no more");
    await socket.writable.abort(reason);
    await guest.until(() => connection.reset, "RST");
    expect(await whyFails(socket.closed)).toBe(reason);
  });

  it("fails when the worker dies", async () => {
    await start();
    const { socket } = await connectTo();
    const reading = whyFails(readAll(socket.readable));
    await worker.thread.terminate();
    const gone = { name: "SlirpError", code: ErrorCode.workerFailed };
    expect(await whyFails(socket.closed)).toMatchObject(gone);
    expect(await reading).toMatchObject(gone);
  });
});

describe("a guest channel", () => {
  const ADDRESS = ipAddress("10.0.2.100");

  it("carries bytes both ways; what is sent early waits for the guest", async () => {
    await start();
    let text = "";
    let writable = 0;
    const channel = await slirp.openGuestChannel({
      address: ADDRESS,
      port: 4000,
      onData: (bytes) => (text += Buffer.from(bytes).toString()),
      onWritable: () => writable++,
    });
    const connection = await guest.connect(ADDRESS.address, 4000).opened();
    connection.sendNow(Buffer.from("hello channel"));
    await guest.until(() => text === "hello channel", "the guest's bytes");
    const data = testBytes(MEGABYTE);
    for (let at = 0; at < data.length;) {
      const before = writable;
      at += channel.send(data.subarray(at));
      if (at < data.length) await guest.until(() => writable > before, "room");
    }
    await connection.untilReceived(data.length);
    expect(connection.take().equals(data)).toBe(true);
    expect(writable).toBeGreaterThan(0);
  });

  it("is refused where the address is taken", async () => {
    await start();
    const options = { address: ADDRESS, port: 4000, onData: () => undefined };
    await slirp.openGuestChannel(options);
    expect(await whyFails(Promise.resolve(slirp.openGuestChannel(options)))).toMatchObject({
      code: ErrorCode.forwardFailed,
    });
  });
});
