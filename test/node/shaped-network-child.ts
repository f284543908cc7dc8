/** What the cases of `shaped-network.test.ts` do inside the namespace. Each task prints one line. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { ipEndpoint, type HostEndpoint, type IpEndpoint } from "../../src/address.js";
import {
  Errno,
  type DatagramSource,
  type HostDatagram,
  type HostNetwork,
  type HostStream,
} from "../../src/host-network.js";
import { createNodeHostNetwork, type SocketChoice } from "../../src/node/node-host-network.js";

const DATAGRAM_BYTES = 1400;
const DATAGRAMS = 1200;

/** More than a socket's send buffer and our own bound together, less than what the slow link may hold back. */
const CLOSE_DATAGRAMS = 400;

export async function runTask(
  name: string | undefined,
  sockets: string | undefined,
): Promise<void> {
  const task = TASKS[name ?? ""];
  if (!task) throw new Error(`no task "${String(name)}"`);
  const network = createNodeHostNetwork({ sockets: sockets as SocketChoice });
  console.log(await task(network));
  await network.close();
}

const TASKS: Record<string, (network: HostNetwork) => Promise<string>> = {
  zones: async (network) => {
    const listener = await network.listenStream(ipEndpoint("fe80::77%near", 0));
    const { port } = listener.localEndpoint as IpEndpoint;
    const stream = opened(network.connectStream(ipEndpoint("fe80::77%near", port)));
    await new Promise<void>((resolve) => (listener.onReady = () => resolve()));
    const accepted = listener.accept();
    const datagram = opened(network.openDatagram(6));
    const to = ipEndpoint("fe80::77%near", (datagram.localEndpoint as IpEndpoint).port);
    datagram.sendTo(Buffer.from("x"), to);
    const source: DatagramSource = { endpoint: undefined };
    await new Promise<void>((resolve) => (datagram.onReady = () => resolve()));
    while (datagram.receiveFrom(Buffer.alloc(10), source) < 0) await sleep(5);
    const ends = [accepted?.localEndpoint, stream.remoteEndpoint].map((end) => `tcp ${zoned(end)}`);
    return [...ends, `udp ${zoned(source.endpoint)}`].join(" ");
  },
  unreachable: async (network) => {
    const hosts = ["203.0.113.1", "203.0.113.200", "198.51.100.66"];
    const errors = hosts.map((host) =>
      failure(opened(network.connectStream(ipEndpoint(host, 80)))),
    );
    return (await Promise.all(errors)).join(" ");
  },
  "datagram-unreachable": async (network) => {
    const datagram = opened(network.openDatagram(4));
    const sent = datagram.sendTo(Buffer.from("x"), ipEndpoint("203.0.113.1", 53));
    await sleep(50);
    return [sent, datagram.nextLength(), datagram.nextLength()].map(errnoName).join(" ");
  },
  "datagram-nobody-there": async (network) => {
    const datagram = opened(network.openDatagram(4));
    datagram.sendTo(Buffer.from("x"), ipEndpoint("198.51.100.67", 53));
    await new Promise<void>((resolve) => (datagram.onReady = (events) => events & 8 && resolve()));
    return [datagram.nextLength(), datagram.nextLength()].map(errnoName).join(" ");
  },
  echo: async (network) => {
    const answers = [];
    for (const [address, type] of [
      ["127.0.0.1", 8],
      ["::1", 128],
    ] as const) {
      const remote = ipEndpoint(address, 0);
      const echo = opened(network.openEcho(remote.family));
      const ready = new Promise<void>((resolve) => (echo.onReady = (e) => e & 1 && resolve()));
      const message = Buffer.from([type, 0, 0, 0, 0x12, 0x34, 0, 7, ...Buffer.from("ping")]);
      echo.sendTo(message, remote);
      await ready;
      const answer = Buffer.alloc(echo.nextLength());
      const source: DatagramSource = { endpoint: undefined };
      echo.receiveFrom(answer, source);
      answers.push(answer[0], answer.toString("latin1", 8), source.endpoint?.address);
      echo.close();
    }
    return answers.join(" ");
  },
  "echo-forbidden": (network) => {
    const echo = network.openEcho(4);
    return Promise.resolve(typeof echo === "number" ? errnoName(echo) : "opened");
  },
  "slow-datagrams": async (network) => {
    const received = receiver();
    const remote = await received.endpoint;
    const datagram = opened(network.openDatagram(4));
    const waits = await sendNumbered(datagram, remote, DATAGRAMS);
    while (received.numbers.length < DATAGRAMS) await sleep(10);
    received.close();
    const inOrder = received.numbers.every((number, index) => number === index);
    if (!inOrder) throw new Error(`out of order: ${received.numbers.join(" ")}`);
    const waited = waits > 0 ? "waited" : "never waited";
    return `${waited}, and ${String(DATAGRAMS)} datagrams came unchanged and in order`;
  },
  "close-datagrams": async (network) => {
    const received = receiver();
    const remote = await received.endpoint;
    const datagram = opened(network.openDatagram(4));
    let taken = 0;
    for (; taken < CLOSE_DATAGRAMS; taken += 1) {
      if (datagram.sendTo(numbered(taken), remote) < 0) break;
    }
    datagram.close();
    if (taken < 100) throw new Error(`only ${String(taken)} taken`);
    while (received.numbers.length < taken) await sleep(10);
    received.close();
    return "all that was taken came";
  },
};

function opened<Kind>(answer: Kind | number): Kind {
  if (typeof answer === "number") throw new Error(`could not be opened: ${String(answer)}`);
  return answer;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function zoned(endpoint: HostEndpoint | undefined): string {
  if (!endpoint || endpoint.family === "unix") return "no IP endpoint";
  return `${endpoint.address}%${endpoint.zone ?? ""}`;
}

function errnoName(answer: number): string {
  return Object.entries(Errno).find(([, value]) => value === -answer)?.[0] ?? String(answer);
}

/** The name of the error that a stream cannot connect with. */
async function failure(stream: HostStream): Promise<string> {
  await new Promise<void>((resolve) => (stream.onReady = () => resolve()));
  return errnoName(-stream.takeError());
}

/** A datagram that says which one it is, in each of its bytes. */
function numbered(number: number): Buffer {
  const bytes = Buffer.alloc(DATAGRAM_BYTES, number % 251);
  bytes.writeUInt32LE(number);
  return bytes;
}

/** Sends numbered datagrams as the stack does; answers how often it was told to wait. */
async function sendNumbered(
  datagram: HostDatagram,
  remote: IpEndpoint,
  count: number,
): Promise<number> {
  let waits = 0;
  let wake = (): void => undefined;
  datagram.onReady = () => wake();
  // As the stack does, which hands over a view on memory that changes after the call.
  const memory = Buffer.alloc(DATAGRAM_BYTES);
  for (let number = 0; number < count;) {
    memory.set(numbered(number));
    const answer = datagram.sendTo(memory, remote);
    memory.fill(0xff);
    if (answer === DATAGRAM_BYTES) {
      number += 1;
    } else if (answer === -Errno.EAGAIN) {
      waits += 1;
      await new Promise<void>((resolve) => (wake = resolve));
    } else {
      throw new Error(`sendTo answered ${errnoName(answer)}`);
    }
  }
  return waits;
}

/** A socket of the kernel's that notes which datagrams came, and refuses damaged ones. */
function receiver(): { endpoint: Promise<IpEndpoint>; numbers: number[]; close(): void } {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
  const numbers: number[] = [];
  socket.on("message", (bytes) => {
    const number = bytes.readUInt32LE();
    if (!bytes.equals(numbered(number))) throw new Error(`datagram ${String(number)} is damaged`);
    numbers.push(number);
  });
  socket.bind(0, "127.0.0.1");
  const endpoint = once(socket, "listening").then(() =>
    ipEndpoint("127.0.0.1", socket.address().port),
  );
  return { endpoint, numbers, close: () => socket.close() };
}
