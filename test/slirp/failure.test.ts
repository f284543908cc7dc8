/**
 * A stack that gives up takes nothing else with it.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { SendStatus } from "../../src/backend.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";
import { createSlirp } from "../../src/node.js";
import { moduleUrl } from "../../src/slirp/load-module.js";
import { howItEnds, readBytes } from "../host-network-contract/peer-kit.js";
import { GUEST_MAC, numberedFrame } from "../support/frames.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";
import { RawGuest } from "../support/raw-guest.js";
import { failAssertion, insideOf, withMemoryLimit } from "../support/stack-inside.js";

closeWorldsAfterEach();

function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

async function expectToWork({ guest, peers }: World): Promise<void> {
  const server = await peers.tcpServer(LOOPBACK[4]);
  const { port } = server.endpoint as IpEndpoint;
  const connection = await guest.connect(GATEWAY[4], port).opened();
  const peer = await server.connection();
  await connection.send(Buffer.from("works"));
  expect((await readBytes(peer, 5)).toString()).toBe("works");
}

describe("an assertion that fails in C", () => {
  it("is a SlirpError stackFailed, now and at each later call", async () => {
    const { slirp } = await openWorld();
    const first = errorOf(() => failAssertion(slirp));
    expect(first).toBeInstanceOf(SlirpError);
    expect((first as SlirpError).code).toBe(ErrorCode.stackFailed);
    expect(errorOf(() => slirp.connectionInfo())).toBe(first);
    expect(slirp.send(numberedFrame(1))).toBe(SendStatus.dropped);
    await expect(slirp.addForward("tcp:127.0.0.1:0-:80")).rejects.toBe(first);
  });

  it("is told to the NIC once, and closes the stack's host sockets", async () => {
    const world = await openWorld();
    const server = await world.peers.tcpServer(LOOPBACK[4]);
    const { port } = server.endpoint as IpEndpoint;
    await world.guest.connect(GATEWAY[4], port).opened();
    const peer = await server.connection();
    const { host } = await world.slirp.addForward("tcp:127.0.0.1:0-:80");
    let told = 0;
    const callbacks = world.slirp.callbacks;
    world.slirp.callbacks = {
      onFrames: (batch) => callbacks?.onFrames(batch),
      onError: (error) => {
        told++;
        expect((error as SlirpError).code).toBe(ErrorCode.stackFailed);
      },
    };
    const ended = howItEnds(peer);
    errorOf(() => failAssertion(world.slirp));
    errorOf(() => failAssertion(world.slirp));
    expect(await ended).toBe("ECONNRESET");
    expect(told).toBe(1);
    expect(world.slirp.sockets()).toEqual([]);
    const late = world.peers.connecting(host);
    expect(await howItEnds(late)).toBe("ECONNREFUSED");
  });

  it("leaves no timer behind", async () => {
    const world = await openWorld();
    errorOf(() => failAssertion(world.slirp));
    await Promise.resolve();
    expect(world.network.timers()).toEqual([]);
  });

  it("does not concern another stack, nor one made anew", async () => {
    const failing = await openWorld();
    const other = await openWorld();
    errorOf(() => failAssertion(failing.slirp));
    await expectToWork(other);
    await failing.slirp.close();
    await expectToWork(await openWorld());
    await expectToWork(other);
  });

  it("can happen to a stack and its host network be used on", async () => {
    const { slirp, network, guest } = await openWorld();
    errorOf(() => failAssertion(slirp));
    await guest.until(() => guest.failure, "onError");
    await slirp.close();
    const next = await createSlirp({ hostNetwork: network });
    const nextGuest = new RawGuest(next, { mac: GUEST_MAC });
    nextGuest.ping(GATEWAY[4], Buffer.from("ping"));
    await nextGuest.until(() => nextGuest.icmp.length > 0, "the answer");
    await next.close();
  });
});

describe("memory that is exhausted", () => {
  it("is a SlirpError stackFailed on that stack alone", async () => {
    const other = await openWorld();
    const wasm = withMemoryLimit(readFileSync(moduleUrl), 66);
    const network = other.network.inner;
    const slirp = await createSlirp({ hostNetwork: network, wasm });
    const guest = new RawGuest(slirp);
    const stack = insideOf(slirp);
    const { exports } = stack.instance;
    for (let bytes = 1 << 20; bytes >= 16; bytes >>= 1) {
      while (stack.call(() => exports.malloc(bytes)) !== 0);
    }
    expect(slirp.memoryBytes).toBeLessThanOrEqual(66 * 65_536);
    for (let port = 1; port < 40; port++) guest.connect(GATEWAY[4], port);
    const failure = await guest.until(() => guest.failure, "onError");
    expect(failure).toBeInstanceOf(SlirpError);
    expect((failure as SlirpError).code).toBe(ErrorCode.stackFailed);
    expect(failure.message).toContain("memory exhausted");
    await slirp.close();
    await expectToWork(other);
  });
});
