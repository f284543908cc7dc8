/**
 * The client for QEMUs that listen, over real sockets on loopback.
 */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectQemu, type QemuClient } from "../../src/nics/qemu-connect.js";
import type { QemuAddress } from "../../src/nics/qemu-address.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { FakeQemu } from "../support/fake-qemu.js";
import { collectIndices, numberedFrame } from "../support/frames.js";
import { eventually, settle } from "../net-backend-contract/harness.js";
import { RecordingLog } from "../support/recording-log.js";

let near: PairEnd;
let far: PairEnd;
let fromGuest: number[];
let log: RecordingLog;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  ({ near, far } = createBackendPair());
  log = new RecordingLog();
  fromGuest = collectIndices(far);
});

afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  await near.close();
  await far.close();
});

/** A QEMU with `server=on`; each connection is a FakeQemu. */
async function startQemu(
  port = 0,
): Promise<{ server: Server; address: QemuAddress; links: FakeQemu[] }> {
  const links: FakeQemu[] = [];
  const server = createServer((socket) => {
    const link = new FakeQemu(socket);
    links.push(link);
    cleanUp.push(() => {
      link.close();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  cleanUp.push(() => server.close());
  const address = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  return { server, address, links };
}

function keep(client: QemuClient): QemuClient {
  cleanUp.push(() => client.close());
  return client;
}

describe("connectQemu", () => {
  it("brings frames both ways", async () => {
    const { address, links } = await startQemu();
    const client = keep(await connectQemu({ ...address, backend: near, log }));
    expect(client.isConnected).toBe(true);
    await eventually(() => {
      expect(links).toHaveLength(1);
    });
    links[0]?.send(numberedFrame(1), numberedFrame(2));
    far.send(numberedFrame(3));
    await eventually(() => {
      expect(fromGuest).toEqual([1, 2]);
      expect(links[0]?.indices).toEqual([3]);
    });
  });

  it("rejects with the system's error where nobody listens", async () => {
    const { server, address } = await startQemu();
    server.close();
    await once(server, "close");
    await expect(connectQemu({ ...address, backend: near })).rejects.toMatchObject({
      code: "ECONNREFUSED",
    });
  });

  it("ends with its connection, and leaves the backend open", async () => {
    const { address, links } = await startQemu();
    const client = keep(await connectQemu({ ...address, backend: near, log }));
    await eventually(() => {
      expect(links).toHaveLength(1);
    });
    links[0]?.close();
    await client.ended;
    expect(client.isConnected).toBe(false);
    expect(near.isClosed).toBe(false);
  });

  it("waits for a QEMU that is not there yet, and comes back to one that was away", async () => {
    const { server, address, links } = await startQemu();
    server.close();
    await once(server, "close");
    const connecting = connectQemu({ ...address, backend: near, reconnectMs: 5, log });
    await settle();
    const again = await startQemu("port" in address ? address.port : 0);
    const client = keep(await connecting);
    await eventually(() => {
      expect(again.links).toHaveLength(1);
    });
    again.links[0]?.send(numberedFrame(1));
    await eventually(() => {
      expect(fromGuest).toEqual([1]);
    });
    again.links[0]?.close();
    await eventually(() => {
      expect(again.links).toHaveLength(2);
    });
    again.links[1]?.send(numberedFrame(2));
    far.send(numberedFrame(3));
    await eventually(() => {
      expect(fromGuest).toEqual([1, 2]);
      expect(again.links[1]?.indices).toEqual([3]);
    });
    expect(client.isConnected).toBe(true);
    expect(links).toEqual([]);
  });

  it("comes back after a broken framing, too", async () => {
    const { address, links } = await startQemu();
    keep(await connectQemu({ ...address, backend: near, reconnectMs: 5, log }));
    await eventually(() => {
      expect(links).toHaveLength(1);
    });
    links[0]?.sendRaw(0, 0, 0, 0);
    await eventually(() => {
      expect(links).toHaveLength(2);
    });
    links[1]?.send(numberedFrame(1));
    await eventually(() => {
      expect(fromGuest).toEqual([1]);
    });
    expect(log.errorCodes).toContain("ERR_SLIRP_PROTOCOL_VIOLATION");
  });

  it("does not come back for a backend that ended", async () => {
    const { address, links } = await startQemu();
    const client = keep(await connectQemu({ ...address, backend: near, reconnectMs: 5, log }));
    near.notifyError(new Error("the stack failed"));
    await client.ended;
    await settle();
    expect(links).toHaveLength(1);
  });

  it("gives up by its signal, before and after the first connection", async () => {
    const { server, address } = await startQemu();
    const connected = new AbortController();
    const client = keep(
      await connectQemu({ ...address, backend: near, reconnectMs: 5, signal: connected.signal }),
    );
    connected.abort();
    await client.ended;
    server.close();
    await once(server, "close");
    const waiting = new AbortController();
    const reason = new Error("no longer wanted");
    const connecting = connectQemu({
      ...address,
      backend: near,
      reconnectMs: 5,
      signal: waiting.signal,
    });
    await settle();
    waiting.abort(reason);
    await expect(connecting).rejects.toBe(reason);
  });
});
