/**
 * Busy polling (native/busy-poll.h): seen by how often a process goes to sleep, which the kernel counts. A program of its own takes turns
 * with a server in this process.
 */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { runShell } from "../host-network-contract/bundle-program.js";
import { ROOT } from "../house/scratch.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

const DIST = join(ROOT, "dist/node.js");
const ROUND_TRIPS = 500;
/** Of which one must show it: with other processes about, answers may come late, or before anybody could sleep. */
const TRIES = 5;
const IDLE_MS = 500;

const PROGRAM = `
  const { createNodeHostNetwork, ipEndpoint } = await import(${JSON.stringify(DIST)});
  const [busyPollUs, port] = process.argv.slice(1).map(Number);
  const network = createNodeHostNetwork({ sockets: "native", busyPollUs });
  const stream = network.connectStream(ipEndpoint("127.0.0.1", port));
  const byte = new Uint8Array(1);
  const roundTrips = (count) => new Promise((resolve) => {
    stream.onReady = () => {
      while (stream.receive(byte) > 0) count -= 1;
      if (count <= 0) resolve();
      else stream.send(byte);
    };
    stream.send(byte);
  });
  await new Promise((resolve) => (stream.onReady = resolve));
  await roundTrips(100);
  const before = process.resourceUsage().voluntaryContextSwitches;
  await roundTrips(${String(ROUND_TRIPS)});
  const sleeps = process.resourceUsage().voluntaryContextSwitches - before;
  const used = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, ${String(IDLE_MS)}));
  const { user, system } = process.cpuUsage(used);
  await network.close();
  console.log(JSON.stringify({ sleeps, idleCpuMs: (user + system) / 1000 }));`;

const missing = whyNoNativeSockets();

function skipWithout(context: TestContext): void {
  if (missing !== undefined) context.skip(missing);
}

describe("busy polling", () => {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  beforeAll(() => once(server.listen(0, "127.0.0.1"), "listening"));
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  async function run(busyPollUs: number) {
    const { port } = server.address() as AddressInfo;
    const words = ["--input-type=module", "-e", PROGRAM, String(busyPollUs), String(port)];
    const { code, output } = await runShell('exec "$0" "$@"', process.execPath, ...words);
    expect(code, output).toBe(0);
    return JSON.parse(output) as { sleeps: number; idleCpuMs: number };
  }

  it("is not done unless asked for: every answer is slept for", async (context) => {
    skipWithout(context);
    let most = 0;
    for (let i = 0; i < TRIES && most < ROUND_TRIPS / 2; i += 1) {
      most = Math.max(most, (await run(0)).sleeps);
    }
    expect(most).toBeGreaterThan(ROUND_TRIPS / 2);
  });

  it("spares the sleep while answers come soon, and is over when none come", async (context) => {
    skipWithout(context);
    let fewest = Infinity;
    for (let i = 0; i < TRIES && fewest > ROUND_TRIPS / 2; i += 1) {
      const { sleeps, idleCpuMs } = await run(1000);
      fewest = Math.min(fewest, sleeps);
      expect(idleCpuMs).toBeLessThan(IDLE_MS / 2);
    }
    expect(fewest).toBeLessThan(ROUND_TRIPS / 2);
  });

  it.each([-1, 0.5, 1001, NaN])("of %s microseconds is refused", (busyPollUs) => {
    const expected = `busyPollUs ${String(busyPollUs)}: expected a whole number from 0 to 1000`;
    for (const sockets of ["node", "auto"] as const) {
      expect(() => createNodeHostNetwork({ sockets, busyPollUs })).toThrow(expected);
    }
  });
});
