/** What a guest in a page sees of relays that go away: the truth, and after that its network again. */
import { describe, expect, it } from "vitest";
import type { Guest } from "../../src/cli/guest.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { HostTcpServer } from "../support/host/tcp-server.js";
import { errorText, attempt, fetchedHash, succeed } from "../support/guest-commands.js";
import { LOOPBACK, pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";
import { RelayProcess } from "../support/relay-process.js";
import { shareRig } from "../support/rig.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
const FILE_BYTES = 4 * MIB;
/** Nobody gets to the end of it. */
const ENDLESS_BYTES = 4096 * MIB;

/** How many connections of the guest were reset by the other side. */
async function countResets(guest: Guest): Promise<number> {
  const [names = "", values = ""] = (await succeed(guest, "grep ^Tcp: /proc/net/snmp")).split("\n");
  return Number(values.split(" ")[names.split(" ").indexOf("EstabResets")]);
}

describe("a relay that is killed and started again", () => {
  let relay: RelayProcess;
  const rigOf = shareRig<PageRig>(pageRigMissing, async () => {
    relay = await RelayProcess.start(LOOPBACK);
    const rig = await startPageRig({ slirp: { relay: relay.url } });
    await rig.guest.configureNetwork();
    return {
      ...rig,
      async [Symbol.asyncDispose]() {
        await rig[Symbol.asyncDispose]();
        await relay[Symbol.asyncDispose]();
      },
    };
  });

  it("resets the transfers that are under way, and loses nothing in silence", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    let putBytes = 0;
    await using sink = await HostTcpServer.start("127.0.0.1", (socket) => {
      socket.on("data", (chunk) => (putBytes += chunk.length));
      socket.on("end", () => socket.end());
    });
    const { path } = http.randomFile("endless", ENDLESS_BYTES);
    const resetsBefore = await countResets(guest);
    const get = attempt(
      guest,
      `wget -q -O - 'http://10.0.2.2:${String(http.port)}${path}' | wc -c`,
    );
    const put = attempt(guest, `nc.openbsd 10.0.2.2 ${String(sink.port)} </dev/zero >/dev/null`);
    await waitUntil("both are under way", () => {
      return http.sentBytes > MIB && putBytes > MIB;
    });
    await relay.kill();
    expect(errorText(await get)).toMatch(/reset by peer|closed prematurely/);
    await put;
    await sink.endOf(0);
    // Not an end in order, by which a program would take what it got for everything.
    expect((await countResets(guest)) - resetsBefore).toBe(2);
  });

  it("is waited for by a transfer that begins while it is away", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    const file = http.randomFile("waits", FILE_BYTES);
    const url = `http://10.0.2.2:${String(http.port)}${file.path}`;
    const count = async (state: string): Promise<number> =>
      (await guest.relayStatuses()).filter((status) => status.startsWith(state)).length;
    const tries = await count("waiting");
    const hash = fetchedHash(guest, url);
    await waitUntil("it was tried in vain", async () => (await count("waiting")) > tries);
    await relay.restart();
    expect(await hash).toBe(file.sha256);
  });

  it("lets transfers begin at once when it came back unnoticed", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    await relay.kill();
    await relay.restart();
    const file = http.randomFile("again", FILE_BYTES);
    const url = `http://10.0.2.2:${String(http.port)}${file.path}`;
    expect(await fetchedHash(guest, url)).toBe(file.sha256);
    expect(await succeed(guest, "ping -c 1 10.0.2.2")).toContain("1 packets received");
    expect(guest.errors).toEqual([]);
  });
});

describe("several relays", () => {
  it("take each other's place", async (ctx) => {
    const reason = pageRigMissing();
    if (reason !== undefined) ctx.skip(reason);
    await using first = await RelayProcess.start(LOOPBACK);
    await using second = await RelayProcess.start(LOOPBACK);
    await using http = await HostHttpServer.start();
    // Port 1 of loopback is nobody's.
    const relays = ["ws://127.0.0.1:1/", first.url, second.url];
    await using rig = await startPageRig({ slirp: { relay: relays } });
    const { guest } = rig;
    await guest.configureNetwork();
    const openTo = async (): Promise<string | undefined> =>
      (await guest.relayStatuses())
        .filter((status) => status.startsWith("open "))
        .at(-1)
        ?.split(" ")[1];
    for (const [name, relay] of Object.entries({ first, second, back: first })) {
      const file = http.randomFile(name, FILE_BYTES);
      const url = `http://10.0.2.2:${String(http.port)}${file.path}`;
      expect(await fetchedHash(guest, url)).toBe(file.sha256);
      expect(await openTo()).toBe(relay.url);
      await relay.kill();
      if (name === "second") await first.restart();
    }
  });
});
