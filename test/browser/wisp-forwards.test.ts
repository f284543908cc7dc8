/**
 * Forwards through a relay: a stack whose host network is Wisp, a guest made of frames, and clients that connect to the relay's ports.
 */
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { connect as connectTcp, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer, type WebSocket } from "ws";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { createWispHostNetwork } from "../../src/browser/wisp-host-network.js";
import type { WispRelay } from "../../src/browser/wisp-relays.js";
import { ErrorCode, type SlirpError } from "../../src/errors.js";
import { createSlirp, type Slirp } from "../../src/node.js";
import { listenRelay, type ListeningRelay, type ListenRelayOptions } from "../../src/relay.js";
import {
  decodePacket,
  encodeContinue,
  encodeData,
  encodeInfo,
  WispReason,
  type WispPacket,
} from "../../src/wisp.js";
import {
  BindResult,
  decodeListenPacket,
  encodeBound,
  encodeIncoming,
  encodeListenOffer,
  LISTEN_EXTENSION_ID,
} from "../../src/wisp-listen.js";
import { howItEnds, readToEnd } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import type { RawConnection } from "../support/raw-connection.js";
import { RawGuest } from "../support/raw-guest.js";
import { waitUntil } from "../support/wait-until.js";
import { nodeWebSocket } from "./make-wisp-host-network.js";

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const FORWARDS = { ports: ["1024-65535"] };

async function startRelay(options: ListenRelayOptions = {}): Promise<ListeningRelay> {
  const relay = await listenRelay({ forwards: FORWARDS, ...options });
  closing.push(() => relay.close(0));
  return relay;
}

async function openStack(relay: string | WispRelay): Promise<{ slirp: Slirp; guest: RawGuest }> {
  const hostNetwork = createWispHostNetwork({ relays: [relay], webSocket: nodeWebSocket });
  const slirp = await createSlirp({ hostNetwork, ownsNetwork: true });
  closing.push(() => slirp.close());
  const guest = new RawGuest(slirp);
  guest.arp();
  return { slirp, guest };
}

function connectTo({ port }: { readonly port: number }): Socket {
  const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  closing.push(() => socket.destroy());
  return socket;
}

async function hostOf(slirp: Slirp, rule: string): Promise<IpEndpoint> {
  return (await slirp.addForward(rule)).host as IpEndpoint;
}

async function whyRefused(slirp: Slirp, rule: string): Promise<SlirpError> {
  return slirp.addForward(rule).then(
    () => {
      throw new Error("was not refused");
    },
    (reason: unknown) => reason as SlirpError,
  );
}

describe("a forward through a relay", () => {
  it("brings connections to the guest, much both ways, and half-closes", async () => {
    const { url } = await startRelay();
    const { slirp, guest } = await openStack(url);
    const incoming: RawConnection[] = [];
    guest.listen(80, (connection) => incoming.push(connection));
    const host = await hostOf(slirp, "tcp:127.0.0.1:0-10.0.2.15:80");
    const peer = connectTo(host);
    const connection = await guest.until(() => incoming[0], "the connection");
    const up = testBytes(1_500_000, 1);
    const down = testBytes(1_200_000, 2);
    peer.end(up);
    await guest.until(() => connection.finReceived, "the peer's FIN");
    expect(connection.receivedDigest()).toBe(sha256(up));
    const received = readToEnd(peer);
    await connection.send(down);
    connection.fin();
    expect(sha256(await received)).toBe(sha256(down));
    expect(guest.faults).toEqual([]);
  });

  it("of UDP brings datagrams, and answers back", async () => {
    const { url } = await startRelay();
    const { slirp, guest } = await openStack(url);
    const host = await hostOf(slirp, "udp:127.0.0.1:0-10.0.2.15:53");
    const socket = createSocket("udp4");
    closing.push(() => socket.close());
    const answered = once(socket, "message");
    socket.send("question", host.port, "127.0.0.1");
    const question = await guest.nextDatagram(53);
    expect(question.payload.toString()).toBe("question");
    guest.sendDatagram(53, question.from, question.fromPort, Buffer.from("answer"));
    const [bytes, from] = (await answered) as [Buffer, AddressInfo];
    expect([bytes.toString(), from.port]).toEqual(["answer", host.port]);
  });

  it("at every address is at loopback, where the relay opens no other, and says so", async () => {
    const { url } = await startRelay();
    const { slirp } = await openStack(url);
    const host = await hostOf(slirp, "tcp::0-:80");
    expect(host.address).toBe("127.0.0.1");
  });

  it("that is removed gives the relay's port back", async () => {
    const { url } = await startRelay();
    const { slirp } = await openStack(url);
    const added = await slirp.addForward("tcp:127.0.0.1:0-:80");
    slirp.removeForward(added);
    await waitUntil("the port is free", async () => {
      return (await howItEnds(connectTo(added.host as IpEndpoint))) === "ECONNREFUSED";
    });
    expect((await slirp.addForward(added)).host).toEqual(added.host);
  });

  it("is there again when the relay was lost and has come back, though its port was taken a while", async () => {
    const first = await startRelay();
    const { slirp, guest } = await openStack(first.url);
    const incoming: RawConnection[] = [];
    guest.listen(80, (connection) => incoming.push(connection));
    const host = await hostOf(slirp, "tcp:127.0.0.1:0-10.0.2.15:80");
    const peer = connectTo(host);
    await guest.until(() => incoming[0], "the connection");
    const { port } = first.server.address() as AddressInfo;
    await first.close(0);
    expect(await howItEnds(peer)).not.toBe("timeout");
    await guest.until(() => incoming[0]?.reset, "RST");
    const squatter = await startRelay();
    const { slirp: other } = await openStack(squatter.url);
    const taken = await other.addForward(`tcp:127.0.0.1:${String(host.port)}-:80`);
    const second = await startRelay({ port });
    await waitUntil("it has been refused", async () => {
      const text = await second.relay.metrics.registry.metrics();
      return text.includes('slirp_relay_refusals_total{rule="listen"}');
    });
    other.removeForward(taken);
    await guest.until(
      () => {
        if (incoming.length < 2) connectTo(host);
        return incoming[1];
      },
      "a connection by the port that is open again",
      20_000,
    );
    expect(slirp.forwards().map(({ host: at }) => at)).toEqual([host]);
  });
});

describe("a forward is refused, and the reason said,", () => {
  it("where the relay opens no ports: which option would", async () => {
    const relay = await listenRelay();
    closing.push(() => relay.close(0));
    const { slirp } = await openStack(relay.url);
    const reason = await whyRefused(slirp, "tcp:127.0.0.1:8000-:80");
    expect(reason).toMatchObject({ code: ErrorCode.forwardFailed, cause: { code: "ENOTSUP" } });
    expect(reason.message).toContain("tcp:127.0.0.1:8000-:80");
    expect(reason.message).toContain("--forward-ports");
  });

  it("where the token is missing or wrong; with it all is well", async () => {
    const { url } = await startRelay({ forwards: { ...FORWARDS, tokens: ["right"] } });
    const without = await whyRefused((await openStack(url)).slirp, "tcp:127.0.0.1:0-:80");
    expect(without).toMatchObject({ cause: { code: "EACCES" } });
    expect(without.message).toContain("forwardToken");
    const wrong = await openStack({ url, forwardToken: "wrong" });
    const refused = await whyRefused(wrong.slirp, "tcp:127.0.0.1:0-:80");
    expect(refused).toMatchObject({ cause: { code: "EACCES" } });
    const right = await openStack({ url, forwardToken: "right" });
    expect((await hostOf(right.slirp, "tcp:127.0.0.1:0-:80")).port).toBeGreaterThan(0);
  });

  it.each([
    ["a port out of range", "tcp:127.0.0.1:80-:80", "EACCES"],
    ["another address", "tcp:192.0.2.1:8000-:80", "EACCES"],
    ["a unix socket", "unix:/tmp/slirp-wasm-none-:80", "EAFNOSUPPORT"],
  ])("for %s", async (_what, rule, code) => {
    const { url } = await startRelay();
    const { slirp } = await openStack(url);
    expect(await whyRefused(slirp, rule)).toMatchObject({ cause: { code } });
  });

  it("beyond what the relay opens for one", async () => {
    const { url } = await startRelay({ limits: { maxListenersPerConnection: 1 } });
    const { slirp } = await openStack(url);
    await slirp.addForward("tcp:127.0.0.1:0-:80");
    const reason = await whyRefused(slirp, "udp:127.0.0.1:0-:80");
    expect(reason).toMatchObject({ cause: { code: "EMFILE" } });
  });

  it("where no relay answers in time", async () => {
    const hostNetwork = createWispHostNetwork({
      relays: ["ws://127.0.0.1:1/"],
      webSocket: nodeWebSocket,
      connectTimeoutMs: 200,
    });
    closing.push(() => hostNetwork.close());
    const listening = hostNetwork.listenStream(ipEndpoint("127.0.0.1", 0));
    await expect(listening).rejects.toMatchObject({ code: "ETIMEDOUT" });
  });
});

describe("a relay that does not keep to the extension", () => {
  /** A relay in the test's hands: `answer` gives what to send for each LISTEN. */
  async function scripted(
    answer: (id: number) => Uint8Array[],
    onPacket: (packet: WispPacket) => void = () => undefined,
  ): Promise<string> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await once(server, "listening");
    closing.push(() => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    });
    server.on("connection", (socket: WebSocket) => {
      socket.send(encodeInfo([{ id: LISTEN_EXTENSION_ID, metadata: encodeListenOffer(false) }]));
      socket.on("message", (message: Buffer) => {
        if (decodePacket(message).type === "info") socket.send(encodeContinue(0, 4));
        onPacket(decodePacket(message));
        const packet = decodeListenPacket(message);
        if (packet?.type !== "listen") return;
        for (const bytes of answer(packet.id)) socket.send(bytes);
      });
    });
    return `ws://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
  }

  it.each([
    ["an address that is none", (id: number) => encodeBound(id, BindResult.bound, 80, "here")],
    ["port 0", (id: number) => encodeBound(id, BindResult.bound, 0, "127.0.0.1")],
    ["a result that nobody knows", (id: number) => encodeBound(id, 99, 0, "because")],
  ])("by %s refuses the forward", async (_what, bound) => {
    const url = await scripted((id) => [bound(id)]);
    const { slirp } = await openStack(url);
    const reason = await whyRefused(slirp, "tcp:127.0.0.1:0-:80");
    expect(reason).toMatchObject({ cause: { code: "EIO" } });
  });

  it("by packets for listeners that are not there, and broken ones, does no harm", async () => {
    const peer = { address: "127.0.0.1", port: 9 };
    const url = await scripted((id) => [
      encodeBound(id + 1, BindResult.bound, 80, "127.0.0.1"),
      encodeIncoming(0x8000_0000, id + 1, peer),
      encodeIncoming(0x8000_0001, id, { address: "nobody", port: 9 }),
      Uint8Array.of(0xe2, id),
      Uint8Array.of(0xe3, id, 0, 0, 0, 1),
      encodeData(id, Buffer.from([7, 7])),
      encodeContinue(id, 5),
      encodeBound(id, BindResult.bound, 80, "127.0.0.1"),
      encodeBound(id, BindResult.bound, 81, "127.0.0.1"),
    ]);
    const { slirp } = await openStack(url);
    expect(await hostOf(slirp, "udp:127.0.0.1:0-:53")).toMatchObject({ port: 80 });
  });

  it("and gives more than can wait has the rest closed", async () => {
    let refused = 0;
    const url = await scripted(
      (id) => [
        encodeBound(id, BindResult.bound, 80, "127.0.0.1"),
        ...Array.from({ length: 200 }, (_, i) =>
          encodeIncoming(0x8000_0000 + i, id, { address: "127.0.0.1", port: i + 1 }),
        ),
      ],
      (packet) => {
        if (packet.type === "close" && packet.reason === WispReason.throttled) refused++;
      },
    );
    const network = createWispHostNetwork({ relays: [url], webSocket: nodeWebSocket });
    closing.push(() => network.close());
    const listener = await network.listenStream(ipEndpoint("127.0.0.1", 0));
    await waitUntil("the rest is closed", () => refused === 72);
    let accepted = 0;
    while (listener.accept()) accepted++;
    expect(accepted).toBe(128);
  });
});
