/**
 * A relay that is about to end, mounted on a server that goes on.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { createRelay } from "../../src/relay.js";
import { encodeConnect, encodeData, WispKind } from "../../src/wisp.js";
import { howItEnds } from "../host-network-contract/peer-kit.js";
import { waitUntil } from "../support/wait-until.js";
import { LOOPBACK_RULES, RelayKit } from "./relay-kit.js";
import { WispClient } from "./wisp-client.js";

const kit = new RelayKit();

describe("a relay that is ending", () => {
  it("is not ready any more, takes nobody, and ends in time what does not end by itself", async () => {
    const relay = createRelay(LOOPBACK_RULES);
    const server = createServer((request, response) => {
      if (!relay.handleRequest(request, response)) response.writeHead(404).end();
    });
    server.on("upgrade", (request, socket, head) => relay.handleUpgrade(request, socket, head));
    await once(server.listen(0, "127.0.0.1"), "listening");
    kit.closeLater({
      async [Symbol.asyncDispose]() {
        server.close();
        server.closeAllConnections();
        await once(server, "close");
      },
    });
    const base = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    const status = async (path: string): Promise<number> =>
      (await fetch(`http://${base}${path}`)).status;
    const target = await kit.peers.tcpServer();
    if (target.endpoint.family === "unix") throw new Error("not TCP");
    const client = await kit.closeLater(new WispClient(`ws://${base}/`)).ready();
    client.send(encodeConnect(1, WispKind.tcp, "127.0.0.1", target.endpoint.port));
    client.send(encodeData(1, Buffer.from("under way")));
    const ended = howItEnds(await target.connection());
    expect([await status("/readyz"), await status("/healthz"), await status("/other")]).toEqual([
      200, 200, 404,
    ]);

    let isClosed = false;
    const closing = relay.close(1000).then(() => (isClosed = true));
    expect(await status("/readyz")).toBe(503);
    expect(await status("/healthz"), "it lives all the same").toBe(200);
    expect(await kit.upgradeStatus(`ws://${base}/`)).toBe("503 The relay is ending");
    expect(client.closeCode).toBeUndefined();
    expect(isClosed).toBe(false);
    await closing;
    await waitUntil("the client is let go", () => client.closeCode !== undefined);
    expect(await ended).toMatch(/FIN|ECONNRESET/);
    expect(relay.connections).toBe(0);
  });
});
