/**
 * What a host network on wsproxy relays asks for, and what it makes of relays that fail, refuse, or close. Relays that do what a real one
 * cannot be made to are scripted.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import type { RelayStatus } from "../../src/browser/wisp-relays.js";
import {
  createWsproxyHostNetwork,
  type WsproxyHostNetworkOptions,
} from "../../src/browser/wsproxy-host-network.js";
import { ErrorCode } from "../../src/errors.js";
import { Errno, Readiness, type HostNetwork } from "../../src/host-network.js";
import { listenRelay } from "../../src/relay/listen-relay.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import { opened, StreamUser } from "../host-network-contract/stack-side.js";
import { nodeWebSocket } from "./make-wisp-host-network.js";

const peers = new PeerKit();
const closing: (() => unknown)[] = [];
const SOMEWHERE = ipEndpoint("192.0.2.1", 80);

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await peers.close();
});

function makeNetwork(options: WsproxyHostNetworkOptions): {
  network: HostNetwork;
  statuses: RelayStatus[];
} {
  const statuses: RelayStatus[] = [];
  const network = createWsproxyHostNetwork({
    webSocket: nodeWebSocket,
    onStatus: (status) => statuses.push(status),
    ...options,
  });
  closing.push(() => network.close());
  return { network, statuses };
}

/** A relay in the test's hands: what was asked of it, and what it does then. */
async function scriptedRelay(
  onClient: (socket: WebSocket) => void,
): Promise<{ url: string; asked: string[]; protocols: string[] }> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  closing.push(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const asked: string[] = [];
  const protocols: string[] = [];
  server.on("connection", (socket, request) => {
    asked.push(request.url ?? "");
    protocols.push(socket.protocol);
    onClient(socket);
  });
  const { port } = server.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${String(port)}`, asked, protocols };
}

const connect = (network: HostNetwork, remote: IpEndpoint): StreamUser =>
  new StreamUser(opened(network.connectStream(remote)));

describe("the URL of a connection", () => {
  const answering = (): ReturnType<typeof scriptedRelay> =>
    scriptedRelay((socket) => {
      socket.send("x");
    });

  it.each([
    { suffix: "", remote: SOMEWHERE, path: "/192.0.2.1:80" },
    { suffix: "/secret/", remote: SOMEWHERE, path: "/secret/192.0.2.1:80" },
    { suffix: "/a?key=b", remote: SOMEWHERE, path: "/a/192.0.2.1:80?key=b" },
    { suffix: "/", remote: ipEndpoint("2001:db8::1", 443), path: "/[2001:db8::1]:443" },
    { suffix: "/?to={host}&at={port}", remote: SOMEWHERE, path: "/?to=192.0.2.1&at=80" },
  ])("made of $suffix names the target: $path", async ({ suffix, remote, path }) => {
    const { url, asked, protocols } = await answering();
    const { network } = makeNetwork({ url: url + suffix });
    expect(await connect(network, remote).connected()).toBe(0);
    expect(asked).toEqual([path]);
    expect(protocols).toEqual([""]);
  });

  it("is always the same where the target is fixed, and subprotocols are asked for", async () => {
    const { url, asked, protocols } = await answering();
    const options = { url: `${url}/websockify`, fixedTarget: true, protocols: ["binary"] };
    const { network } = makeNetwork(options);
    expect(await connect(network, SOMEWHERE).connected()).toBe(0);
    expect(asked).toEqual(["/websockify"]);
    expect(protocols).toEqual(["binary"]);
  });

  it.each(["nowhere", "ftp://relay.test/"])("cannot be made of %s", (url) => {
    expect(() => createWsproxyHostNetwork({ url, webSocket: nodeWebSocket })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});

describe("a relay", () => {
  it("that cannot be reached makes hosts unreachable, and is told", async () => {
    const { network, statuses } = makeNetwork({ url: "ws://127.0.0.1:1/" });
    expect(await connect(network, SOMEWHERE).connected()).toBe(Errno.EHOSTUNREACH);
    expect(statuses).toMatchObject([{ state: "waiting" }]);
    expect(statuses[0]?.message).toContain("not opened");
  });

  it("whose policy forbids the target is EACCES", async () => {
    const relay = await listenRelay();
    closing.push(() => relay.close(0));
    const { network, statuses } = makeNetwork({ url: relay.url });
    const server = await peers.tcpServer();
    expect(await connect(network, server.endpoint as IpEndpoint).connected()).toBe(Errno.EACCES);
    expect(statuses).toMatchObject([{ state: "open" }]);
  });

  it("that says nothing at all is a time-out", async () => {
    const server = await peers.tcpServer();
    const { port } = server.endpoint as IpEndpoint;
    const url = `ws://127.0.0.1:${String(port)}/`;
    const { network } = makeNetwork({ url, connectTimeoutMs: 100 });
    expect(await connect(network, SOMEWHERE).connected()).toBe(Errno.ETIMEDOUT);
  });

  it("that breaks off resets its streams; what came before is still there", async () => {
    let client: WebSocket | undefined;
    const { url } = await scriptedRelay((socket) => {
      client = socket;
      socket.send(Buffer.from("before"));
    });
    const { network } = makeNetwork({ url });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    client?.terminate();
    await stream.edge(Readiness.error);
    await expect.poll(() => stream.takeError()).toBe(Errno.ECONNRESET);
    expect(stream.tryReceive(Buffer.alloc(10))).toBe(6);
    expect(stream.tryReceive(Buffer.alloc(10))).toBe(-Errno.ECONNRESET);
  });

  it("that closes in order at once has a target that was connected and said nothing", async () => {
    const { url } = await scriptedRelay((socket) => {
      socket.close(1000);
    });
    const { network } = makeNetwork({ url });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    expect(await stream.receive(Buffer.alloc(1))).toBe(0);
  });

  it.each([
    ["ECONNREFUSED", Errno.ECONNREFUSED],
    ["EHOSTUNREACH", Errno.EHOSTUNREACH],
    ["no answer in time", Errno.ETIMEDOUT],
    ["", Errno.ECONNREFUSED],
  ])('that closes with "%s" is taken at its word', async (reason, errno) => {
    const { url } = await scriptedRelay((socket) => {
      socket.close(1011, reason);
    });
    const { network } = makeNetwork({ url });
    expect(await connect(network, SOMEWHERE).connected()).toBe(errno);
  });
});

describe("the guest's FIN", () => {
  it("waits for the answer, and closes the WebSocket when nothing comes any more", async () => {
    const events: string[] = [];
    const { url } = await scriptedRelay((socket) => {
      socket.on("message", (message: Buffer) => {
        events.push(message.toString());
        setTimeout(() => {
          socket.send(Buffer.from("answer"));
        }, 200);
      });
      socket.on("close", (code) => events.push(String(code)));
    });
    const { network } = makeNetwork({ url });
    const stream = connect(network, SOMEWHERE);
    expect(await stream.connected()).toBe(0);
    stream.trySend(Buffer.from("question"));
    stream.shutdownWrite();
    expect((await stream.receiveBytes()).toString()).toBe("answer");
    await expect.poll(() => events).toEqual(["question", "1000"]);
  });
});

describe("UDP", () => {
  it("is told to be unreachable at once", () => {
    const { network } = makeNetwork({ url: "ws://127.0.0.1:1/" });
    const datagram = opened(network.openDatagram(4));
    expect(datagram.sendTo(Buffer.from("x"), SOMEWHERE)).toBe(-Errno.ENETUNREACH);
    expect(datagram.nextLength()).toBe(-Errno.EAGAIN);
    datagram.close();
  });
});
