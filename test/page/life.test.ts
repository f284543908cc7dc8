/** What becomes of a guest's network in the course of its page's life. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { HostHttpServer } from "../support/host/http-server.js";
import { HostTcpServer } from "../support/host/tcp-server.js";
import { fetchedHash, succeed } from "../support/guest-commands.js";
import type { PageGuest } from "../support/page-guest.js";
import { pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";
import { shareRig } from "../support/rig.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
const HIDDEN_MS = 60_000;
const LINE_PERIOD_MS = 2_000;
const FROZEN_MS = 5_000;

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

describe("a page that is not seen", () => {
  const rigOf = shareRig<PageRig>(pageRigMissing, async () => {
    const rig = await startPageRig({ plainBrowser: true });
    await rig.guest.configureNetwork();
    return rig;
  });

  it("works on while it is hidden for a minute, and keeps its connections", async (ctx) => {
    const { guest, context } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    await using talk = await Talk.start(guest);
    const other = await context.newPage();
    await other.bringToFront();
    await waitUntil("it is hidden", async () => (await visibility(guest.page)) === "hidden");
    const hiddenMs = performance.now();
    const file = http.randomFile("hidden", MIB);
    const url = `http://10.0.2.2:${String(http.port)}${file.path}`;
    expect(await fetchedHash(guest, url)).toBe(file.sha256);
    await sleep(HIDDEN_MS - (performance.now() - hiddenMs));
    expect(await visibility(guest.page)).toBe("hidden");
    await other.close();
    await guest.page.bringToFront();
    await waitUntil("it is shown", async () => (await visibility(guest.page)) === "visible");
    await talk.expectAll();
    expect(await fetchedHash(guest, url)).toBe(file.sha256);
    expect(guest.errors).toEqual([]);
  });

  it("has its network again when the browser has frozen it, and no connection that is none", async (ctx) => {
    const { guest, context } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    await using talk = await Talk.start(guest);
    const other = await context.newPage();
    await other.bringToFront();
    const session = await context.newCDPSession(guest.page);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    await sleep(FROZEN_MS);
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await other.close();
    await guest.page.bringToFront();

    // Chromium closes the WebSockets of a page that it wakes: then the guest must be told.
    const file = http.randomFile("frozen", MIB);
    const url = `http://10.0.2.2:${String(http.port)}${file.path}`;
    expect(await fetchedHash(guest, url)).toBe(file.sha256);
    await waitUntil("guest and server agree on the connection", async () => {
      return (await talk.isOpenInGuest()) === talk.isOpenAtServer;
    });
    expect(guest.errors).toEqual([]);
  });
});

/** A connection of the guest on which the server says a line now and then, and the guest something at the end. */
class Talk {
  readonly #guest: PageGuest;
  readonly #server: HostTcpServer;
  readonly #linesSaid: () => string;
  readonly #heard: () => string;

  static async start(guest: PageGuest): Promise<Talk> {
    let said = "";
    let heard = "";
    const server = await HostTcpServer.start("127.0.0.1", (socket) => {
      socket.on("data", (chunk) => (heard += chunk.toString()));
      const say = setInterval(() => {
        const line = `line ${String(said.length)}\n`;
        said += line;
        socket.write(line);
      }, LINE_PERIOD_MS);
      socket.on("end", () => socket.end());
      socket.on("close", () => {
        clearInterval(say);
      });
    });
    await succeed(
      guest,
      `rm -f /tmp/in; mkfifo /tmp/in; sleep 1000 >/tmp/in &
      nc.openbsd 10.0.2.2 ${String(server.port)} </tmp/in >/tmp/out 2>/tmp/error &`,
    );
    await waitUntil("the connection has come", () => server.connectionCount === 1);
    return new Talk(
      guest,
      server,
      () => said,
      () => heard,
    );
  }

  private constructor(
    guest: PageGuest,
    server: HostTcpServer,
    linesSaid: () => string,
    heard: () => string,
  ) {
    this.#guest = guest;
    this.#server = server;
    this.#linesSaid = linesSaid;
    this.#heard = heard;
  }

  get isOpenAtServer(): boolean {
    return this.#server.openCount > 0;
  }

  async isOpenInGuest(): Promise<boolean> {
    return (await this.#guest.capture("pidof nc.openbsd")).status === 0;
  }

  /** Each side has heard all that the other said, and hears what it says now. */
  async expectAll(): Promise<void> {
    await succeed(this.#guest, "echo still here >/tmp/in");
    await waitUntil("the server hears", () => this.#heard() === "still here\n");
    const count = this.#linesSaid().length;
    await waitUntil("the server has said more", () => this.#linesSaid().length > count);
    await waitUntil("the guest has heard all", async () => {
      const before = this.#linesSaid();
      const heard = await succeed(this.#guest, "cat /tmp/out");
      // A line that was just said may be on its way.
      return heard !== "" && (heard === before.trim() || heard === this.#linesSaid().trim());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await succeed(this.#guest, "killall nc.openbsd sleep || true");
    await this.#server[Symbol.asyncDispose]();
  }
}

function visibility(page: Page): Promise<string> {
  return page.evaluate<string>("document.visibilityState");
}
