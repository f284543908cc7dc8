/**
 * v86's own ways to a network, each with what we have at its other end: its Wisp client and its frames over a WebSocket with our relay,
 * its BroadcastChannel with our stack.
 */
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { WebSocket } from "ws";
import { V86Guest } from "../../src/cli/v86-guest.js";
import { attachBroadcastChannel } from "../../src/nics/broadcast-channel-nic.js";
import { createSlirp } from "../../src/node.js";
import { createSlirpGateway, listenRelay, type ListeningRelay } from "../../src/relay.js";
import { fetchedHash, makeRandomFile, succeed } from "../support/guest-commands.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { v86ImageMissing } from "../support/v86-image.js";

const MIB = 1024 * 1024;

let server: HostHttpServer;

beforeAll(async () => {
  // Node 20 has none; v86 knows no other.
  (globalThis as { WebSocket?: unknown }).WebSocket ??= WebSocket;
  server = await HostHttpServer.start();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

function needsImage(ctx: TestContext): void {
  const missing = v86ImageMissing();
  if (missing !== undefined) ctx.skip(missing);
}

/** A guest on v86's network at this URL, for as long as `use` takes. */
async function withGuest(
  relayUrl: string,
  nic: "virtio" | "ne2k",
  use: (guest: V86Guest) => Promise<void>,
): Promise<void> {
  const guest = await V86Guest.start({ nic, relayUrl });
  try {
    await use(guest);
  } finally {
    await guest.stop();
  }
}

async function fetchAndPut(guest: V86Guest, host: string, bytes: number): Promise<void> {
  const base = `http://${host}:${String(server.port)}`;
  const file = server.randomFile("file", bytes);
  expect(await fetchedHash(guest, base + file.path)).toBe(file.sha256);
  const sha256 = await makeRandomFile(guest, "/tmp/upload", MIB);
  // No answer would come if the request ended with the file: v86's Wisp has no half-close.
  const head = `PUT /upload HTTP/1.0\\r\\nContent-Length: ${String(MIB)}\\r\\n\\r\\n`;
  const sent = `{ printf '${head}'; cat /tmp/upload; sleep 5; } | nc ${host} ${String(server.port)}`;
  expect(await succeed(guest, sent)).toContain(`${String(MIB)} ${sha256}`);
}

describe("v86's Wisp client and our relay", () => {
  let relay: ListeningRelay | undefined;

  afterAll(async () => {
    await relay?.close(0);
  });

  it("fetch and send a file", async (ctx) => {
    needsImage(ctx);
    relay = await listenRelay({ allow: ["127.0.0.0/8"] });
    await withGuest(relay.url.replace("ws:", "wisp:"), "virtio", async (guest) => {
      const { gateway = "" } = await guest.configureNetwork();
      // v86 passes on the address that the guest dials, and the host's servers are on loopback: the guest takes that for elsewhere.
      await succeed(
        guest,
        `for f in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/$f/route_localnet; done
        ip address del 127.0.0.1/8 dev lo && ip route add 127.0.0.0/8 via ${gateway}`,
      );
      await fetchAndPut(guest, "127.0.0.1", 2 * MIB);
    });
  });
});

describe("v86's frames over a WebSocket and a room of our relay", () => {
  let relay: ListeningRelay | undefined;

  afterAll(async () => {
    await relay?.close(0);
  });

  it.for(["virtio", "ne2k"] as const)(
    "give the guest a lease, fetch and send a file: %s",
    async (nic, ctx) => {
      needsImage(ctx);
      relay ??= await listenRelay({
        allow: ["127.0.0.0/8"],
        createGateway: createSlirpGateway(),
      });
      await withGuest(`${relay.url}l2/${nic}`, nic, async (guest) => {
        const network = await guest.configureNetwork();
        expect(network).toMatchObject({ address: "10.0.2.15", gateway: "10.0.2.2" });
        expect(await succeed(guest, "ping -c 2 10.0.2.2")).toContain("2 packets received");
        await fetchAndPut(guest, "10.0.2.2", 8 * MIB);
      });
    },
  );

  it("bring guests of one room together", async (ctx) => {
    needsImage(ctx);
    relay ??= await listenRelay({ allow: ["127.0.0.0/8"], createGateway: createSlirpGateway() });
    const url = `${relay.url}l2/both`;
    await withGuest(url, "virtio", async (one) => {
      await one.configureNetwork();
      await withGuest(url, "virtio", async (two) => {
        const { address = "" } = await two.configureNetwork();
        expect(address).toBe("10.0.2.16");
        expect(await succeed(one, `ping -c 2 ${address}`)).toContain("2 packets received");
      });
    });
  });
});

describe("v86's BroadcastChannel and our stack", () => {
  it("give the guest a lease, fetch and send a file", async (ctx) => {
    needsImage(ctx);
    await using slirp = await createSlirp();
    const channel = attachBroadcastChannel(slirp);
    await withGuest("inbrowser", "virtio", async (guest) => {
      expect(await guest.configureNetwork()).toMatchObject({ address: "10.0.2.15" });
      await fetchAndPut(guest, "10.0.2.2", 4 * MIB);
    });
    channel.detach();
  });
});
