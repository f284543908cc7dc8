/**
 * A guest in a page whose stack and relays are in a worker: the guest has all that it has with the stack beside it, and the page finds
 * the same object.
 */
import type { Page, Worker } from "playwright-core";
import { describe, expect, it } from "vitest";
import { describeCommonNetwork } from "../system/scenarios/describe-network.js";
import { fetchedHash, succeed } from "../support/guest-commands.js";
import { HostHttpServer } from "../support/host/http-server.js";
import { pageRigMissing, startPageRig, type PageRig } from "../support/page-rig.js";
import { shareRig } from "../support/rig.js";
import { waitUntil } from "../support/wait-until.js";

const MIB = 1024 * 1024;
/** How long timers are counted, and how often they are asked for. */
const COUNTED_MS = 4_000;
const TIMER_MS = 10;

describe("network of a guest whose stack is in a worker", () => {
  const rigOf = describeCommonNetwork(pageRigMissing, ({ endpoint }) =>
    startPageRig({ slirp: { worker: true, wisp: { dnsServers: [endpoint] } } }),
  );

  it("has one worker, in which the WebSocket is", async (ctx) => {
    const { guest, relay } = rigOf(ctx);
    expect(stackWorkers(guest.page)).toHaveLength(1);
    await succeed(guest, "nslookup www.test.example || true");
    expect(relay.relay.connections).toBe(1);
  });

  it("is told of the relays by the page's own callback", async (ctx) => {
    expect((await rigOf(ctx).guest.relayStatuses()).join("\n")).toMatch(/^open ws:/m);
  });

  it("gives the page connections to the guest, and fetch", async (ctx) => {
    const { guest } = rigOf(ctx);
    await succeed(guest, "mkdir -p /tmp/www; echo from the guest >/tmp/www/index.html");
    await succeed(guest, "httpd -p 8080 -h /tmp/www");
    const text = await guest.page.evaluate(async () => {
      const response = await testPage.run?.slirp.fetch("http://guest:8080/index.html");
      return response?.text();
    });
    expect(text).toBe("from the guest\n");
    const refused = await guest.page.evaluate(() =>
      testPage.run?.slirp.connect({ port: 9 }).then(
        () => "it was not",
        (error: unknown) => (error as { code: string }).code,
      ),
    );
    expect(refused).toBe("ERR_SLIRP_CONNECTION_REFUSED");
    await succeed(guest, "killall httpd");
  });

  it("goes on after the page was loaded anew, from the states that were kept", async (ctx) => {
    const { guest, startOptions } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    const file = http.randomFile("after", MIB);
    await guest.reload(startOptions);
    const hash = await fetchedHash(guest, `http://10.0.2.2:${String(http.port)}${file.path}`);
    expect(hash).toBe(file.sha256);
  });

  it("has thrown nothing", (ctx) => {
    expect(rigOf(ctx).guest.errors).toEqual([]);
  });

  it("ends with an error, not in silence, when the worker ends", async (ctx) => {
    const { guest } = rigOf(ctx);
    await stackWorkers(guest.page)[0]?.evaluate(() => {
      (globalThis as unknown as { close(): void }).close();
    });
    const code = await guest.page.evaluate(async () => {
      const slirp = testPage.run?.slirp;
      try {
        // One that is asked before the news is there has no answer any more.
        for (;;) await slirp?.sockets();
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
    expect(code).toBe("ERR_SLIRP_WORKER_FAILED");
    await guest.page.evaluate(() => testPage.run?.slirp.close());
  });
});

describe("a page whose browser has no close event for ports", () => {
  const rigOf = shareRig<PageRig>(pageRigMissing, () => startPageRig());

  it("learns of its worker's end all the same", async (ctx) => {
    const { context, open, relay } = rigOf(ctx);
    // As Firefox and Safari are.
    await context.addInitScript(() => {
      const { addEventListener } = EventTarget.prototype;
      EventTarget.prototype.addEventListener = function (type: string, ...rest: [never]) {
        if (!(this instanceof MessagePort && type === "close")) {
          addEventListener.call(this, type, ...rest);
        }
      };
    });
    const guest = await open({ slirp: { relay: relay.url, worker: true } });
    const error = guest.page.evaluate(async () => {
      const slirp = testPage.run?.slirp;
      return new Promise((resolve) => {
        if (slirp)
          slirp.callbacks = { onFrames: () => undefined, onError: (why) => resolve(why.message) };
      });
    });
    await stackWorkers(guest.page)[0]?.evaluate(() => {
      (globalThis as unknown as { close(): void }).close();
    });
    expect(await error).toContain("the worker has ended");
  });
});

describe("a hidden page whose stack is in a worker", () => {
  const rigOf = shareRig<PageRig>(pageRigMissing, async () => {
    const rig = await startPageRig({ plainBrowser: true, slirp: { worker: true } });
    await rig.guest.configureNetwork();
    return rig;
  });

  it("has its own timers once a second; the stack's in the worker come in time", async (ctx) => {
    const { guest, context } = rigOf(ctx);
    await using http = await HostHttpServer.start();
    const other = await context.newPage();
    await other.bringToFront();
    const state = (): Promise<string> => guest.page.evaluate<string>("document.visibilityState");
    await waitUntil("it is hidden", async () => (await state()) === "hidden");
    const [worker] = stackWorkers(guest.page);
    if (!worker) throw new Error("there is no worker");
    const ofWorker = await worker.evaluate(countTimers, [COUNTED_MS, TIMER_MS] as const);
    const ofPage = await guest.page.evaluate(countTimers, [COUNTED_MS, TIMER_MS] as const);
    expect(ofPage).toBeLessThanOrEqual(COUNTED_MS / 1000 + 1);
    expect(ofWorker).toBeGreaterThan(5 * ofPage);
    const file = http.randomFile("hidden", MIB);
    const hash = await fetchedHash(guest, `http://10.0.2.2:${String(http.port)}${file.path}`);
    expect(hash).toBe(file.sha256);
    expect(await state()).toBe("hidden");
    await other.close();
  });
});

/** v86 has a worker too, for a moment. */
function stackWorkers(page: Page): Worker[] {
  return page.workers().filter((worker) => worker.url().includes("slirp-worker"));
}

/** Runs where it is sent to: how many timers come, one after the other. */
async function countTimers([durationMs, timerMs]: readonly [number, number]): Promise<number> {
  const endMs = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, timerMs));
    count++;
  }
  return count;
}
