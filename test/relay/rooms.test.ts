/**
 * Rooms: guests that speak Ethernet to the relay, on networks with a stack of their own.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { NetBackend } from "../../src/backend.js";
import { WebSocketBackend } from "../../src/backends/web-socket-backend.js";
import { ErrorCode } from "../../src/errors.js";
import {
  createSlirpGateway,
  type ListeningRelay,
  type ListenRelayOptions,
} from "../../src/relay.js";
import type { WebSocketClass } from "../../src/web-socket.js";
import { settle } from "../net-backend-contract/harness.js";
import { howItEnds } from "../host-network-contract/peer-kit.js";
import { createBackendPair } from "../support/backend-pair.js";
import { collectIndices, numberedFrame } from "../support/frames.js";
import { RawGuest } from "../support/raw-guest.js";
import { RecordingLog } from "../support/recording-log.js";
import { waitUntil } from "../support/wait-until.js";
import { LOOPBACK_RULES, RelayKit } from "./relay-kit.js";

const kit = new RelayKit();
let log: RecordingLog;

beforeEach(() => {
  log = new RecordingLog();
});

function start(options: ListenRelayOptions = {}): Promise<ListeningRelay> {
  return kit.start({ createGateway: createSlirpGateway(), log, ...LOOPBACK_RULES, ...options });
}

const macOf = (number: number): Uint8Array => Uint8Array.of(0x52, 0x54, 0, 0, 0, number);

/** A guest in a room. */
async function enter(url: string, number = 1): Promise<RawGuest & AsyncDisposable> {
  const backend = new WebSocketBackend({ url, webSocket: WebSocket as unknown as WebSocketClass });
  kit.closeLater(backend);
  const guest = new RawGuest(backend, {
    mac: macOf(number),
    ipv4: `10.0.2.${String(14 + number)}`,
  });
  guest.arp();
  await guest.until(() => guest.arpReplies.length > 0, "the gateway's address");
  return Object.assign(guest, { [Symbol.asyncDispose]: () => backend.close() });
}

async function gauge({ relay }: ListeningRelay, name: "rooms" | "roomMembers"): Promise<number> {
  return (await relay.metrics[name].get()).values[0]?.value ?? NaN;
}

async function serverPort(): Promise<{ port: number; connection(): Promise<Socket> }> {
  const { endpoint, connection } = await kit.peers.tcpServer();
  if (endpoint.family === "unix") throw new Error("not TCP");
  return { port: endpoint.port, connection };
}

describe("a room", () => {
  it("has a gateway that reaches what the relay's clients reach", async () => {
    const { url } = await start();
    const guest = await enter(`${url}l2/room`);
    const { port, connection } = await serverPort();
    const stream = await guest.connect("10.0.2.2", port).opened();
    await stream.send(Buffer.from("ping"));
    const peer = await connection();
    const [heard] = (await once(peer.resume(), "data")) as [Buffer];
    expect(heard.toString()).toBe("ping");
    peer.end("pong");
    await guest.until(() => stream.finReceived, "the answer");
    expect(stream.take().toString()).toBe("pong");
    expect(guest.faults).toEqual([]);
  });

  it("connects its members, and nobody else", async () => {
    const { url } = await start();
    const one = await enter(`${url}l2/room`, 1);
    const two = await enter(`${url}l2/room`, 2);
    const other = await enter(`${url}l2/another`, 2);
    one.arp("10.0.2.16");
    const seen = (guest: RawGuest): number =>
      guest.arpReplies.filter(({ senderAddress }) => senderAddress[3] === 16).length;
    await one.until(() => seen(one) === 1, "the other member's answer");
    await settle();
    expect(seen(one), "that of the other room does not come").toBe(1);
    expect(two.faults).toEqual([]);
    expect(other.faults).toEqual([]);
  });

  it("does not reach what the relay's policy closes: TCP, UDP; and the log says by which rule", async () => {
    const listening = await start({ allow: [] });
    const guest = await enter(`${listening.url}l2/room`);
    const { port } = await serverPort();
    guest.connect("10.0.2.2", port);
    await guest.until(() => guest.icmp.length === 1, "an ICMP error");
    guest.sendDatagram(5000, "10.0.2.2", port, Buffer.from("x"));
    await guest.until(() => guest.icmp.length === 2, "an ICMP error");
    guest.connect("192.168.3.4", 80);
    await guest.until(() => guest.icmp.length === 3, "an ICMP error");
    expect(guest.icmp.map(({ type }) => type)).toEqual([3, 3, 3]);
    const refused = log.entries.filter(({ message }) => message === "refused a stream");
    expect(refused.map(({ details }) => [details["target"], details["rule"]])).toEqual([
      [`127.0.0.1:${String(port)}`, "127.0.0.1 is loopback, not global unicast"],
      [`127.0.0.1:${String(port)}`, "127.0.0.1 is loopback, not global unicast"],
      ["192.168.3.4:80", "192.168.3.4 is private, not global unicast"],
    ]);
  });

  it("is there while it has members, and some time longer for who comes back", async () => {
    const listening = await start({ limits: { roomLingerMs: 3000 } });
    const { port, connection } = await serverPort();
    const first = await enter(`${listening.url}l2/room`);
    const stream = await first.connect("10.0.2.2", port).opened();
    const peer = await connection();
    await first.backend.close();
    await waitUntil("it has left", async () => (await gauge(listening, "roomMembers")) === 0);
    // Its connection goes on where it was.
    const again = new WebSocketBackend({
      url: `${listening.url}l2/room`,
      webSocket: WebSocket as unknown as WebSocketClass,
    });
    kit.closeLater(again);
    first.moveTo(again);
    await stream.send(Buffer.from("still here"));
    const [heard] = (await once(peer.resume(), "data")) as [Buffer];
    expect(heard.toString()).toBe("still here");
    expect(await gauge(listening, "rooms")).toBe(1);
    const ended = howItEnds(peer);
    await again.close();
    await waitUntil("it is closed", async () => (await gauge(listening, "rooms")) === 0);
    expect(await ended, "its connections are reset").toBe("ECONNRESET");
  });

  it("is another one under another token", async () => {
    const { url } = await start({ tokens: ["a", "b"] });
    const base = url.replace(/\/a\/$/, "");
    const one = await enter(`${base}/a/l2/room`, 1);
    const two = await enter(`${base}/b/l2/room`, 2);
    one.arp("10.0.2.16");
    await settle();
    expect(one.arpReplies).toHaveLength(1);
    expect(two.faults).toEqual([]);
    expect(await kit.upgradeStatus(`${base}/l2/room`)).toMatch(/^401/);
  });

  it("is refused where there are none, and where its name is none", async () => {
    const { url } = await kit.start();
    expect(await kit.upgradeStatus(`${url}l2/room`)).toBe("404 There are no rooms");
    const open = await start();
    for (const name of ["a/b", "%20", "a".repeat(65), ""]) {
      expect(await kit.upgradeStatus(`${open.url}l2/${name}`), name).toMatch(/^(404|101)/);
    }
    expect(await gauge(open, "rooms")).toBe(0);
  });

  it("cannot be given what would open the relay's host", () => {
    const hostForwards = [{ protocol: "tcp" }] as never;
    for (const slirp of [{ hostForwards }, { tftpRoot: "/" }]) {
      expect(() => createSlirpGateway({ slirp })).toThrow(
        expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
      );
    }
  });
});

describe("rooms are bounded", () => {
  it("in number, and an empty one gives way", async () => {
    const listening = await start({ limits: { maxRooms: 2, roomLingerMs: 60_000 } });
    const { url } = listening;
    const first = await enter(`${url}l2/one`);
    await enter(`${url}l2/two`);
    expect(await kit.upgradeStatus(`${url}l2/three`)).toBe("503 There are too many rooms");
    await first.backend.close();
    await waitUntil("it has left", async () => (await gauge(listening, "roomMembers")) === 1);
    await enter(`${url}l2/three`);
    expect(await gauge(listening, "rooms")).toBe(2);
  });

  it("in members", async () => {
    const { url } = await start({ limits: { maxRoomMembers: 2 } });
    await enter(`${url}l2/room`, 1);
    await enter(`${url}l2/room`, 2);
    expect(await kit.upgradeStatus(`${url}l2/room`)).toBe("503 The room is full");
  });

  it("in frames of a member, which has to wait, and loses none", async () => {
    const gateway = createBackendPair();
    const arrived = collectIndices(gateway.far);
    const { url } = await start({
      createGateway: async () => gateway.near,
      limits: { framesPerSecond: 200 },
    });
    const socket = await kit.connect(`${url}l2/room`);
    const began = performance.now();
    // More than the relay reads at once.
    for (let index = 0; index < 400; index++) socket.send(numberedFrame(index, { length: 1500 }));
    await waitUntil("all have come", () => arrived.length === 400);
    expect(arrived).toEqual(Array.from({ length: 400 }, (_, index) => index));
    expect(performance.now() - began).toBeGreaterThan(500);
  });

  it("in what waits for a member that reads slowly; others go on", async () => {
    const listening = await start({ limits: { maxQueuedBytes: 64 * 1024 } });
    const slow = await kit.connect(`${listening.url}l2/room`);
    slow.pause();
    const one = await enter(`${listening.url}l2/room`, 1);
    const broadcast = numberedFrame(1, { destination: new Uint8Array(6).fill(0xff), length: 1500 });
    await waitUntil("frames for the slow one are dropped", async () => {
      for (let i = 0; i < 500; i++) one.sendFrame(broadcast);
      return ((await listening.relay.metrics.droppedFrames.get()).values[0]?.value ?? 0) > 0;
    });
    const { port } = await serverPort();
    await one.connect("10.0.2.2", port).opened();
  });
});

describe("what is not as it should be", () => {
  it("messages that are no frames do nothing", async () => {
    const { url } = await start();
    const socket = await kit.connect(`${url}l2/room`);
    for (const message of [
      "text",
      new Uint8Array(0),
      new Uint8Array(13),
      new Uint8Array(500_000),
    ]) {
      socket.send(message);
    }
    const guest = await enter(`${url}l2/room`);
    expect(guest.faults).toEqual([]);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it("a gateway that cannot be made ends the room, and the log says why", async () => {
    const createGateway = (): Promise<NetBackend> => Promise.reject(new Error("no memory"));
    const listening = await start({ createGateway });
    const socket = await kit.connect(`${listening.url}l2/room`);
    const [code] = (await once(socket, "close")) as [number];
    expect(code).toBe(1011);
    expect(await gauge(listening, "rooms")).toBe(0);
    await waitUntil("it is forgotten", async () => (await gauge(listening, "roomMembers")) === 0);
    expect(log.entries.map(({ message }) => message)).toContain("a room's gateway has failed");
  });

  it("a gateway that fails ends its room alone; the next member finds a new one", async () => {
    const gateways: ReturnType<typeof createBackendPair>[] = [];
    const createGateway = async (): Promise<NetBackend> => {
      const pair = createBackendPair();
      gateways.push(pair);
      return pair.near;
    };
    const listening = await start({ createGateway });
    const socket = await kit.connect(`${listening.url}l2/room`);
    const other = await kit.connect(`${listening.url}l2/other`);
    await waitUntil("both are there", () => gateways.length === 2);
    await settle();
    const closed = once(socket, "close") as Promise<[number]>;
    const frame = numberedFrame(1);
    for (let i = 0; i < 500; i++) socket.send(frame);
    gateways[0]?.near.notifyError(new Error("broken"));
    // What still comes is for nobody.
    for (let i = 0; i < 500; i++) socket.send(frame);
    const [code] = await closed;
    expect(code).toBe(1011);
    expect(other.readyState).toBe(WebSocket.OPEN);
    expect(gateways[0]?.near.isClosed).toBe(true);
    await kit.connect(`${listening.url}l2/room`);
    await waitUntil("a new one", () => gateways.length === 3);
  });

  it("frames that come while the room is being made wait for it", async () => {
    const gateway = createBackendPair();
    const arrived = collectIndices(gateway.far);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const { url } = await start({
      createGateway: async () => {
        await opened;
        return gateway.near;
      },
    });
    const socket = await kit.connect(`${url}l2/room`);
    const count = 800;
    for (let index = 0; index < count; index++) socket.send(numberedFrame(index, { length: 1000 }));
    await settle();
    expect(arrived).toEqual([]);
    open();
    await waitUntil("all have come", () => arrived.length === count);
    expect(arrived).toEqual(Array.from({ length: count }, (_, index) => index));
  });

  it("members that leave while the room is being made leave nothing behind", async () => {
    const listening = await start({ limits: { roomLingerMs: 1 } });
    for (let i = 0; i < 10; i++) {
      const socket = await kit.connect(`${listening.url}l2/room-${String(i % 3)}`);
      socket.terminate();
    }
    await waitUntil("no rooms", async () => (await gauge(listening, "rooms")) === 0);
    expect(await gauge(listening, "roomMembers")).toBe(0);
  });
});

describe("the relay's end", () => {
  it("is the rooms' end: members are told, gateways closed", async () => {
    const gateway = createBackendPair();
    const listening = await start({ createGateway: async () => gateway.near });
    const socket = await kit.connect(`${listening.url}l2/room`);
    await settle();
    const closed = once(socket, "close") as Promise<[number]>;
    await listening.close(1000);
    expect((await closed)[0]).toBe(1001);
    expect(gateway.near.isClosed).toBe(true);
  });
});
