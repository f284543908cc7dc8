/** What becomes of a guest's network in the course of its page's life. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { HostHttpServer } from "../support/host/http-server.js";
import { HostTcpServer } from "../support/host/tcp-server.js";
import { fetchedHash, succeed } from "../support/guest-commands.js";
import { pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";
import { shareRig } from "../support/rig.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
const HIDDEN_MS = 60_000;
const LINE_PERIOD_MS = 5_000;

describe("a page that is loaded anew", () => {
  const rigOf = shareRig<PageRig>(pageRigMissing, () => startPageRig());

  it("has its guest and the guest's network as they were, from the states that were kept", async (ctx) => {
    const { guest, startOptions } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    const urlOf = (path: string): string => `http://10.0.2.2:${String(http.port)}${path}`;
    const { address } = await guest.configureNetwork({ ipv6TimeoutMs: 60_000 });
    await succeed(guest, "echo kept >/tmp/kept");
    await guest.reload(startOptions);

    // No lease is asked for: guest and stack know each other.
    expect(await succeed(guest, "cat /tmp/kept; ip -4 -o address show eth0")).toMatch(
      new RegExp(`^kept\n.*inet ${String(address)}/24`),
    );
    const file = http.randomFile("after", MIB);
    expect(await fetchedHash(guest, urlOf(file.path))).toBe(file.sha256);
    expect(await succeed(guest, "ping -c 1 fec0::2")).toContain("1 packets received");
    expect(guest.errors).toEqual([]);
  });
});

describe("a page that is hidden for a minute", () => {
  const rigOf = shareRig<PageRig>(pageRigMissing, () => startPageRig());

  it("keeps its connections, and works on meanwhile and afterwards", async (ctx) => {
    const { guest, context } = rigOf(ctx);
    await guest.configureNetwork();
    let said = "";
    let heard = "";
    await using server = await HostTcpServer.start("127.0.0.1", (socket) => {
      socket.on("data", (chunk) => (heard += chunk.toString()));
      const say = setInterval(() => {
        const line = `line ${String(said.length)}\n`;
        said += line;
        socket.write(line);
      }, LINE_PERIOD_MS);
      socket.on("close", () => {
        clearInterval(say);
      });
    });
    await using http = await HostHttpServer.start();
    const port = String(server.port);
    await succeed(
      guest,
      `mkfifo /tmp/in; sleep 1000 >/tmp/in &
      nc.openbsd 10.0.2.2 ${port} </tmp/in >/tmp/out 2>/tmp/error &`,
    );
    await waitUntil("the connection has come", () => server.connectionCount === 1);

    const other = await hide(guest.page, () => context.newPage());
    const hiddenMs = performance.now();
    const file = http.randomFile("hidden", MIB);
    const url = `http://10.0.2.2:${String(http.port)}${file.path}`;
    expect(await fetchedHash(guest, url)).toBe(file.sha256);
    await sleep(HIDDEN_MS - (performance.now() - hiddenMs));
    expect(await visibility(guest.page)).toBe("hidden");
    await other.close();
    await guest.page.bringToFront();
    await waitUntil("it is shown", async () => (await visibility(guest.page)) === "visible");

    await succeed(guest, "echo still here >/tmp/in");
    await waitUntil("the server hears", () => heard === "still here\n");
    await waitUntil("the guest has heard all", async () => {
      return (await succeed(guest, "cat /tmp/out")) === said.trim();
    });
    expect(said.split("\n").length).toBeGreaterThan(HIDDEN_MS / LINE_PERIOD_MS);
    expect(await fetchedHash(guest, url)).toBe(file.sha256);
    expect(guest.errors).toEqual([]);
  });
});

async function visibility(page: Page): Promise<string> {
  return page.evaluate<string>("document.visibilityState");
}

/** Puts another tab in front of it, as a person does; Playwright lets every page believe that it is seen. */
async function hide(page: Page, openOther: () => Promise<Page>): Promise<Page> {
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setFocusEmulationEnabled", { enabled: false });
  const other = await openOther();
  await other.bringToFront();
  await waitUntil("it is hidden", async () => (await visibility(page)) === "hidden");
  return other;
}
