/**
 * The demo page in a browser: a real guest, the stack in the page, and the relay beside it.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { DEFAULT_IMAGE_FOLDER } from "../../src/cli/guest-image.js";
import { browserMissing, launchBrowser } from "../support/browser.js";
import { CliProcess } from "../support/cli.js";
import { v86ImageMissing } from "../support/v86-image.js";
import { runProgram } from "../house/scratch.js";
import { waitUntil } from "../support/wait-until.js";

const READY_TIMEOUT_MS = 120_000;
const WAIT = { timeout: 60_000, interval: 100 } as const;

/** Runs in the page: tells `note` each text that the progress shows. */
const NOTE_PROGRESS = `
  new MutationObserver(() => {
    const text = document.querySelector(".progress output")?.textContent;
    if (text) note(text);
  }).observe(document, { subtree: true, childList: true });
`;

function missing(): string | undefined {
  return browserMissing() ?? v86ImageMissing();
}

describe("the demo page", () => {
  let cli: CliProcess | undefined;
  let browser: Browser | undefined;
  let page: Page;
  let url = "";
  const errors: string[] = [];

  beforeAll(async () => {
    if (missing() !== undefined) return;
    const served = new CliProcess(["demo", "--listen", "127.0.0.1:0"]);
    cli = served;
    await waitUntil("it prints its URL", () => served.output.endsWith("\n"));
    url = served.output.trim();
    browser = await launchBrowser();
    page = await open("light");
  });

  afterAll(async () => {
    await browser?.close();
    cli?.kill("SIGTERM");
    expect(await cli?.ended()).toMatchObject({ status: 0, signal: null });
  });

  /** A page whose guest has its prompt. */
  async function open(colorScheme: "light" | "dark", hash = ""): Promise<Page> {
    if (!browser) throw new Error("there is no browser");
    const opened = await browser.newPage({ colorScheme });
    opened.on("pageerror", (error) => errors.push(error.message));
    await opened.goto(url + hash);
    await opened.locator("#examples button").first().waitFor({ timeout: READY_TIMEOUT_MS });
    return opened;
  }

  function needs(ctx: TestContext): void {
    const reason = missing();
    if (reason !== undefined) ctx.skip(reason);
  }

  const screen = async (): Promise<string> =>
    (await page.locator(".xterm-accessibility-tree").first().innerText()).replaceAll("\u00a0", " ");

  let commands = 0;

  /** Runs a command in the guest; answers what is on the screen once it is done. */
  async function run(command: string): Promise<string> {
    const number = String(++commands);
    await page.locator(".xterm-helper-textarea").first().focus();
    // What is typed does not look like what is printed.
    await page.keyboard.type(`clear; ${command}; echo "done $((${number} + 0)): $?"\n`);
    const done = new RegExp(`done ${number}: \\d`);
    await waitUntil(`"${command}" is done`, async () => done.test(await screen()), 120_000);
    return screen();
  }

  it("gets a lease, and addresses of both IP versions", async (ctx) => {
    needs(ctx);
    const lease = await page.locator("#lease").innerText();
    expect(lease).toMatch(/10\.0\.2\.15/);
    expect(lease).toMatch(/fec0::/);
    expect(lease).toMatch(/10\.0\.2\.3/);
  });

  it("fetches a page by a click", async (ctx) => {
    needs(ctx);
    await page.getByRole("button", { name: "Fetch a page" }).click();
    await expect.poll(screen, WAIT).toContain("a connection of them");
    expect(await page.locator("#status").innerText()).toContain("Connected through");
  });

  it("shows the connections there are", async (ctx) => {
    needs(ctx);
    const { port } = new URL(url);
    // 11 bytes, and no whole request: nothing is answered, nothing is over.
    await run(
      `({ printf 'GET / HTTP/'; sleep 20; } | nc 10.0.2.2 ${port} >/dev/null 2>&1) & sleep 1`,
    );
    await expect
      .poll(() => page.locator("#connections").innerText(), WAIT)
      .toMatch(
        new RegExp(
          `TCP ESTABLISHED\\s+10\\.0\\.2\\.15:\\d+\\s+→ 10\\.0\\.2\\.2:${port}\\s+0 B\\s+11 B`,
        ),
      );
  });

  it("fetches 14 MB unchanged", async (ctx) => {
    needs(ctx);
    const name = "state-virtio.bin.zst";
    const path = join(DEFAULT_IMAGE_FOLDER, name);
    if (!existsSync(path)) ctx.skip(`${name} was not made: the guest was booted`);
    const expected = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    const { port } = new URL(url);
    const text = await run(`wget -qO- http://10.0.2.2:${port}/image/${name} | sha256sum`);
    // The terminal may break the line.
    expect(text.replaceAll("\n", "")).toContain(expected);
  });

  it("tells of the names that were looked up", async (ctx) => {
    needs(ctx);
    await run("nslookup nowhere.example >/dev/null 2>&1");
    const names = page.locator("#names");
    await expect.poll(() => names.innerText(), WAIT).toContain("nowhere.example");
    expect(await names.innerText()).toMatch(/demo\.localhost\s+A\s+10\.0\.2\.2\s+the page/);
  });

  it("shows what the guest serves, in the page", async (ctx) => {
    needs(ctx);
    await page.getByRole("button", { name: "Serve a page" }).click();
    const frame = page.frameLocator("#web-frame");
    await frame.getByRole("heading", { name: "Hello from the guest" }).waitFor(WAIT);
    const link = await page.getByRole("link", { name: "Open in a tab" }).getAttribute("href");
    expect(link).toBe(`${url}guest/80/`);
  });

  it("says why there is nothing to show", async (ctx) => {
    needs(ctx);
    await page.locator("#web-port").fill("81");
    await page.locator("#web-form button").click();
    await expect.poll(() => page.locator("#web-note").innerText(), WAIT).toMatch(/refused/i);
  });

  it("captures packets, and saves a file that tshark reads", async (ctx) => {
    needs(ctx);
    const capture = page.locator("#capture");
    await capture.click();
    await run("ping -c 3 10.0.2.2");
    await capture.click();
    const coming = page.waitForEvent("download");
    await page.locator("#capture-save").click();
    const path = await (await coming).path();
    const { stdout } = await runProgram("tshark", ["-r", path, "-Y", "icmp.type == 0"]);
    expect(stdout.trim().split("\n")).toHaveLength(3);
  });

  it("lets two guests talk", async (ctx) => {
    needs(ctx);
    await page.getByRole("button", { name: "Two guests talking" }).click();
    const first = page.getByRole("group", { name: "First guest" });
    await expect
      .poll(async () => (await first.innerText()).replaceAll("\u00a0", " "), WAIT)
      .toMatch(/Hello from the second guest, 10\.0\.2\.16/);
  });

  it("keeps the way out that was chosen, and shares it by a link", async (ctx) => {
    needs(ctx);
    const opened = await open("light", "#way=wisp&relay=ws%3A%2F%2F127.0.0.1%3A9%2F");
    expect(await opened.locator("#relay").inputValue()).toBe("ws://127.0.0.1:9/");
    await opened.getByRole("button", { name: "Use it" }).click();
    await opened.waitForURL(url);
    await opened.locator("#examples button").first().waitFor({ timeout: READY_TIMEOUT_MS });
    expect(await opened.getByRole("radio", { name: "Another Wisp relay" }).isChecked()).toBe(true);
    expect(await opened.locator("#relay").inputValue()).toBe("ws://127.0.0.1:9/");
    await opened.context().close();
  });

  it("opens a port of the relay's machine to the guest, and closes it", async (ctx) => {
    needs(ctx);
    await run("mkdir -p /www; echo from-the-guest >/www/word; httpd -p 8080 -h /www");
    await page.locator("#guest-port").fill("8080");
    await page.locator("#ports button[type=submit]").click();
    const row = page.locator("#forwards tr", { hasText: "port 8080" });
    const place = await row.locator("td").first().innerText(WAIT);
    const answer = await fetch(`http://127.0.0.1:${place.split(":").at(-1) ?? ""}/word`);
    expect(await answer.text()).toBe("from-the-guest\n");
    await row.getByRole("button", { name: "Close" }).click();
    await row.waitFor({ state: "detached" });
  });

  it("does without a relay, and with the stack in a worker", async (ctx) => {
    needs(ctx);
    const opened = await open("light", "#way=fetch&worker");
    await opened.getByRole("button", { name: "Fetch a page" }).click();
    const text = opened.locator(".xterm-accessibility-tree").first();
    await expect.poll(() => text.innerText(), WAIT).toContain("libslirp");
    expect(await opened.locator("#messages").innerText()).toMatch(/GET http:.*\/hello: 200/);
    await opened.context().close();
  });

  it("boots where there is no saved state, and keeps one for the next time", async (ctx) => {
    needs(ctx);
    if (!browser) return;
    const context = await browser.newContext();
    await context.route("**/image/state-*", (route) => route.fulfill({ status: 404 }));
    const opened = await context.newPage();
    const shown = new Set<string>();
    await opened.exposeFunction("note", (text: string) => shown.add(text));
    await opened.addInitScript(NOTE_PROGRESS);
    const button = opened.locator("#examples button").first();
    await opened.goto(url);
    await button.waitFor({ timeout: READY_TIMEOUT_MS });
    expect([...shown]).toContain("Booting Linux");
    shown.clear();
    await opened.reload();
    await button.waitFor({ timeout: READY_TIMEOUT_MS });
    expect([...shown]).toContain("Waking the guest");
    expect([...shown]).not.toContain("Booting Linux");
    await context.close();
  });

  it("is told what the relay does not allow, at once", async (ctx) => {
    needs(ctx);
    expect(await run("wget -qO- http://10.0.2.2:9/")).toMatch(/can't connect|unreachable/);
  });

  it("pings the gateway", async (ctx) => {
    needs(ctx);
    expect(await run("ping -c 2 10.0.2.2")).toContain("2 packets received");
  });

  it.for(["light", "dark"] as const)("is accessible, %s", async (scheme, ctx) => {
    needs(ctx);
    const opened = scheme === "light" ? page : await open(scheme);
    const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
    await opened.addScriptTag({ path: axe });
    const violations = await opened.evaluate(async () => {
      const { axe: tool } = globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      const { violations: found } = await tool.run();
      return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    });
    expect(violations).toEqual([]);
  });

  it("throws nothing", (ctx) => {
    needs(ctx);
    expect(errors).toEqual([]);
  });
});
