/** Pages that use the installed package: built by Vite with its defaults, and as it stands, without any build. */
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { ROOT } from "../house/scratch.js";
import { browserMissing, launchBrowser } from "../support/browser.js";
import { serveFolder } from "../support/static-server.js";
import { runSuccessfully, shareInstalledProject } from "./installed-project.js";

const PAGE = join(ROOT, "test/package/consumers/page");
const VITE = join(ROOT, "node_modules/vite/bin/vite.js");

describe("a page with the installed package", () => {
  const project = shareInstalledProject();
  let browser: Browser | undefined;

  beforeAll(async () => {
    if (browserMissing() === undefined) browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
  });

  /** The title that the page at `path` of `folder` gives itself, and what went wrong in it. */
  async function titleOf(ctx: TestContext, folder: string, path = ""): Promise<string> {
    const reason = browserMissing();
    if (reason !== undefined) ctx.skip(reason);
    await using server = await serveFolder(folder);
    const page = await browser!.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("response", (response) => {
      if (response.status() === 404 && !response.url().endsWith("favicon.ico")) {
        problems.push(`${response.url()} is not there`);
      }
    });
    await page.goto(server.url + path);
    await expect
      .poll(async () => problems.join("\n") || (await page.title()), { timeout: 60_000 })
      .not.toBe("");
    const title = await page.title();
    await page.close();
    expect(problems).toEqual([]);
    return title;
  }

  it("works built by Vite, in the page and in a worker", async (ctx) => {
    const { folder } = project();
    cpSync(PAGE, join(folder, "vite"), { recursive: true });
    // Top-level await needs a worker that is a module; all else is the default.
    project().write({ "vite/vite.config.js": 'export default { worker: { format: "es" } };\n' });
    await runSuccessfully(process.execPath, [VITE, "build", "--base", "./"], {
      cwd: join(folder, "vite"),
    });
    expect(await titleOf(ctx, join(folder, "vite/dist"))).toBe("10.0.2.2 10.0.2.2");
  });

  it("works as it stands, with an import map", async (ctx) => {
    const { folder } = project();
    const imports = { "slirp-wasm/browser": "/node_modules/slirp-wasm/dist/browser.js" };
    copyPlainPage(folder, "mapped", "slirp-wasm/browser");
    project().write({
      "mapped/index.html": `<!doctype html>
        <title></title>
        <script type="importmap">${JSON.stringify({ imports })}</script>
        <script type="module" src="page.js"></script>`,
    });
    expect(await titleOf(ctx, folder, "mapped/")).toBe("10.0.2.2");
  });

  it("works as it stands, by relative URLs, in the page and in a worker", async (ctx) => {
    const { folder } = project();
    const entry = "../node_modules/slirp-wasm/dist/browser.js";
    copyPlainPage(folder, "relative", entry);
    const main = readFileSync(join(PAGE, "main.js"), "utf8");
    const ownWorker = readFileSync(join(PAGE, "own-worker.js"), "utf8");
    project().write({
      "relative/main.js": main.replace("slirp-wasm/browser", entry),
      "relative/own-worker.js": ownWorker.replace("slirp-wasm/browser", entry),
      "relative/index.html": readFileSync(join(PAGE, "index.html"), "utf8"),
    });
    expect(await titleOf(ctx, folder, "relative/")).toBe("10.0.2.2 10.0.2.2");
  });

  /** A page without a worker: what it imports the package as is the test's matter. */
  function copyPlainPage(folder: string, name: string, entry: string): void {
    mkdirSync(join(folder, name), { recursive: true });
    cpSync(join(PAGE, "exchange.js"), join(folder, name, "exchange.js"));
    project().write({
      [`${name}/page.js`]: `import { createSlirp } from ${JSON.stringify(entry)};
        import { askForGateway } from "./exchange.js";
        const slirp = await createSlirp({ relay: "ws://127.0.0.1:9/", slirp: { ipv6: false } });
        document.title = await askForGateway(slirp);`,
    });
  }
});
