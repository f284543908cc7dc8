/**
 * The guest's own web server, busybox httpd, seen in a browser through the service worker: in an iframe and in a tab.
 */
import type { Browser, BrowserContext, FrameLocator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { browserMissing, launchBrowser } from "../support/browser.js";
import { bundlePageScript, servePageSite, type PageSite } from "../support/page-site.js";
import { v86ImageMissing } from "../support/v86-image.js";
import { waitUntil } from "../support/wait-until.js";

const READY_TIMEOUT_MS = 180_000;
const WAIT = { timeout: 60_000, interval: 100 } as const;

const PAGE_SCRIPT = `
import { Guest } from "./demo/guest.js";
import { createSlirp, serveGuest } from "./src/browser.js";
import { attachV86 } from "./src/v86.js";

const at = (path) => new URL(path, location.href);
const decoder = new TextDecoder();
globalThis.screen_ = "";
globalThis.start = async () => {
  const registration = await navigator.serviceWorker.register("/worker.js", { type: "module" });
  const guest = await Guest.start(at("/image/"), {
    onOutput: (bytes) => (globalThis.screen_ += decoder.decode(bytes)),
    onProgress: () => undefined,
  });
  const relay = at("/relay/").href.replace("http", "ws");
  const slirp = await createSlirp({ relay, wasm: at("/slirp.wasm") });
  attachV86(guest.emulator, slirp);
  await guest.configureNetwork();
  guest.openShell(80, 24);
  globalThis.type = (text) => guest.type(new TextEncoder().encode(text));
  globalThis.serveElsewhere = () =>
    navigator.serviceWorker
      .register("/other-worker.js", { scope: "/other/" })
      .then((other) => serveGuest(slirp, other))
      .catch((error) => error.code + " " + error.message);
  globalThis.forward = async (rule) => (await slirp.addForward(rule)).host.port;
  globalThis.served = await serveGuest(slirp, registration);
  return globalThis.served.url(80);
};
`;

const WORKER_SCRIPT = `
import { installGuestBridge } from "./src/service-worker/index.js";
installGuestBridge();
`;

const GUEST_FILES: Readonly<Record<string, string>> = {
  "index.html": `<!doctype html><title>The guest's page</title>
<link rel="stylesheet" href="/style.css"><p id="who">served by the guest</p>
<img id="dot" src="dot.svg" alt="dot"><a href="/second.html">second page</a>
<form method="post" action="/cgi-bin/echo"><input name="field" value="typed"><button>Send</button></form>
<script src="/app.js"></script>`,
  "style.css": "#who { color: rgb(1, 2, 3); background: url(/dot.svg) }",
  "app.js": `import("/module.js"); fetch("/data.txt").then((r) => r.text()).then((t) => (document.body.dataset.data = t));
new Worker("/worker.js").onmessage = (e) => (document.body.dataset.worker = e.data);`,
  "module.js": `import "./other.js"; document.body.dataset.module = "ran";`,
  "other.js": `document.body.dataset.other = "ran";`,
  "worker.js": `fetch("/data.txt").then((r) => r.text()).then((t) => postMessage("worker: " + t));`,
  "data.txt": "data of the guest",
  "dot.svg": `<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><circle r="3"/></svg>`,
  "second.html": `<!doctype html><title>2</title><p id="who">the second page</p>`,
  "folder/index.html": `<!doctype html><title>f</title><p id="who">in the folder</p>`,
  "cgi-bin/echo": `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s %s ' "$REQUEST_METHOD" "$CONTENT_LENGTH"
cat`,
  "cgi-bin/slow": `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\nfirst '
until [ -e /tmp/go ]; do sleep 0.1; done
printf second`,
};

function missing(): string | undefined {
  return browserMissing() ?? v86ImageMissing();
}

/** A shell script that makes the guest's files, in lines short enough for the guest's shell. */
function makeFilesCommands(): string[] {
  const script = Object.entries(GUEST_FILES).map(([name, text]) => {
    const encoded = Buffer.from(text).toString("base64");
    const path = `/var/www/${name}`;
    return `mkdir -p $(dirname ${path}); echo ${encoded} | base64 -d > ${path}; chmod 755 ${path}\n`;
  });
  const encoded = Buffer.from(script.join("")).toString("base64");
  const pieces = encoded.match(/.{1,700}/g) ?? [];
  return [
    ...pieces.map((piece) => `echo ${piece} >> /tmp/files`),
    "base64 -d /tmp/files | sh; httpd -p 80 -h /var/www",
  ];
}

describe("a guest's web server behind the service worker", () => {
  let site: PageSite | undefined;
  let browser: Browser | undefined;
  let context: BrowserContext;
  let page: Page;
  let guestUrl = "";
  let commands = 0;
  const errors: string[] = [];

  beforeAll(async () => {
    if (missing() !== undefined) return;
    site = await servePageSite(
      {
        "/index.html": `<!doctype html><title>Site</title><script type="module" src="/page.js"></script>`,
        "/page.js": await bundlePageScript(PAGE_SCRIPT),
        "/other-worker.js": "// a worker that is no bridge",
        "/worker.js": await bundlePageScript(WORKER_SCRIPT),
        "/data.txt": "data of the site",
      },
      { forwards: { ports: ["1024-65535"] } },
    );
    browser = await launchBrowser();
    context = await browser.newContext();
    page = await context.newPage();
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(site.url);
    await page.waitForFunction("globalThis.start !== undefined");
    guestUrl = await page.evaluate<string>("start()");
    for (const command of makeFilesCommands()) await run(command);
  }, READY_TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await site?.[Symbol.asyncDispose]();
  });

  function needs(ctx: TestContext): void {
    const reason = missing();
    if (reason !== undefined) ctx.skip(reason);
  }

  /** Runs a command in the guest. */
  async function run(command: string): Promise<void> {
    const number = String(++commands);
    const line = `${command}; echo "done $((${number} + 0))."\n`;
    await page.evaluate(`type(${JSON.stringify(line)})`);
    const done = `done ${number}.`;
    await waitUntil(`"${command}" is done`, () => page.evaluate(`screen_.includes("${done}")`));
  }

  /** Shows a place of the guest in an iframe of the page. */
  async function frame(path: string): Promise<FrameLocator> {
    const url = new URL(path, guestUrl).href;
    await page.evaluate(`document.querySelector("iframe")?.remove();
      document.body.append(Object.assign(document.createElement("iframe"), { src: "${url}" }))`);
    return page.frameLocator("iframe");
  }

  const frameUrl = (): string => page.frames()[1]?.url() ?? "";

  it("shows its page in an iframe, with all that the page loads by absolute paths", async (ctx) => {
    needs(ctx);
    expect(guestUrl).toBe(`${site?.url ?? ""}guest/80/`);
    const shown = await frame("./");
    const who = shown.locator("#who");
    await who.waitFor();
    expect(await who.innerText()).toBe("served by the guest");
    const color = (): Promise<string> =>
      who.evaluate((element) => {
        const { getComputedStyle } = globalThis as unknown as {
          getComputedStyle(of: unknown): { color: string };
        };
        return getComputedStyle(element).color;
      });
    await expect.poll(color, WAIT).toBe("rgb(1, 2, 3)");
    const data = (): Promise<Record<string, string>> =>
      shown.locator("body").evaluate((body) => ({ ...(body as { dataset: object }).dataset }));
    await expect.poll(data, WAIT).toEqual({
      data: "data of the guest",
      module: "ran",
      other: "ran",
      worker: "worker: data of the guest",
    });
    const width = await shown
      .locator("#dot")
      .evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth);
    expect(width).toBe(7);
  });

  it("follows links by absolute paths, and forms with what was typed", async (ctx) => {
    needs(ctx);
    const shown = await frame("./");
    await shown.getByRole("link", { name: "second page" }).click();
    await expect.poll(() => shown.locator("#who").innerText(), WAIT).toBe("the second page");
    expect(frameUrl()).toBe(`${guestUrl}second.html`);
    const form = await frame("./");
    await form.getByRole("button", { name: "Send" }).click();
    await expect.poll(() => form.locator("body").innerText(), WAIT).toBe("POST 11 field=typed");
    expect(frameUrl()).toBe(`${guestUrl}cgi-bin/echo`);
  });

  it("follows the guest's redirects, of pages and of fetch, and adds a missing slash", async (ctx) => {
    needs(ctx);
    const shown = await frame("folder");
    await expect.poll(() => shown.locator("#who").innerText(), WAIT).toBe("in the folder");
    expect(frameUrl()).toBe(`${guestUrl}folder/`);
    const bare = await frame("../80");
    await expect.poll(() => bare.locator("#who").innerText(), WAIT).toBe("served by the guest");
    const fetched = await page
      .frames()[1]
      ?.evaluate(
        `fetch("/folder").then(async (r) => [r.url, (await r.text()).includes("in the folder")])`,
      );
    expect(fetched).toEqual([`${guestUrl}folder/`, true]);
  });

  it("streams an answer: its beginning comes before its end is made", async (ctx) => {
    needs(ctx);
    await frame("./");
    const inFrame = page.frames()[1];
    const first = await inFrame?.evaluate(`(async () => {
      globalThis.reader = (await fetch("/cgi-bin/slow")).body.getReader();
      return new TextDecoder().decode((await reader.read()).value);
    })()`);
    expect(first).toBe("first ");
    await run("touch /tmp/go");
    const rest = await inFrame?.evaluate(`(async () => {
      let text = "";
      for (let next; !(next = await reader.read()).done; ) text += new TextDecoder().decode(next.value);
      return text;
    })()`);
    expect(rest).toBe("second");
  });

  it("says why where nothing listens, in a page of its own", async (ctx) => {
    needs(ctx);
    const tab = await context.newPage();
    const response = await tab.goto(new URL("../81/", guestUrl).href);
    expect(response?.status()).toBe(502);
    expect(await tab.locator("body").innerText()).toContain("nothing listens there");
    await tab.close();
  });

  it("is not served by a worker that is no bridge, and says so", async (ctx) => {
    needs(ctx);
    const said = await page.evaluate<string>("serveElsewhere()");
    expect(said).toContain("ERR_SLIRP_MISSING_REQUIREMENT");
    expect(said).toContain("installGuestBridge()");
  });

  it("leaves the site's own files to the site", async (ctx) => {
    needs(ctx);
    const text = `fetch("/data.txt").then((r) => r.text())`;
    expect(await page.evaluate(text)).toBe("data of the site");
    const tab = await context.newPage();
    await tab.goto(new URL("/data.txt", guestUrl).href);
    expect(await tab.locator("body").innerText()).toBe("data of the site");
    await tab.close();
  });

  it("is reached from outside by a forward through the relay", async (ctx) => {
    needs(ctx);
    const port = await page.evaluate<number>(`forward("tcp::0-:80")`);
    const response = await fetch(`http://127.0.0.1:${String(port)}/data.txt`);
    expect(await response.text()).toBe("data of the guest");
  });

  it("shows the guest in a tab, also after the browser has stopped the worker, until the page is closed", async (ctx) => {
    needs(ctx);
    const tab = await context.newPage();
    await tab.goto(guestUrl);
    expect(await tab.locator("#who").innerText()).toBe("served by the guest");
    const session = await context.newCDPSession(tab);
    await session.send("ServiceWorker.enable");
    await session.send("ServiceWorker.stopAllWorkers");
    await tab.goto(guestUrl);
    expect(await tab.locator("#who").innerText()).toBe("served by the guest");
    await session.send("ServiceWorker.stopAllWorkers");
    const data = `fetch("/data.txt").then((r) => r.text())`;
    expect(await tab.evaluate(data)).toBe("data of the guest");
    expect(errors).toEqual([]);
    await run("rm /tmp/go");
    const pending = tab.evaluate(
      `fetch("/cgi-bin/slow").then((r) => r.text()).catch(() => "cut off")`,
    );
    await page.close();
    expect(await pending).not.toContain("second");
    const response = await tab.goto(guestUrl);
    expect(response?.status()).toBe(503);
    expect(await tab.locator("body").innerText()).toContain(
      "No open page of this site runs a guest",
    );
  });
});
