/** Pages that use the installed package: built by Vite with its defaults, and as it stands, without any build. */
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { ROOT } from "../house/scratch.js";
import { browserMissing, launchBrowser } from "../support/browser.js";
import { serveFolder } from "../support/static-server.js";
import { runSuccessfully, shareInstalledProject } from "./installed-project.js";

const PAGE = join(ROOT, "test/package/consumers/page");
const VITE = join(ROOT, "node_modules/vite/bin/vite.js");
/** What main.js finds out. */
const FOUR_ANSWERS = "10.0.2.2 10.0.2.2 10.0.2.2 10.0.2.2";

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

  it("works built by Vite, in the page and in workers", async (ctx) => {
    const { folder } = project();
    cpSync(PAGE, join(folder, "vite"), { recursive: true });
    // The page awaits at its top level; all else is Vite's default.
    await runSuccessfully(process.execPath, [VITE, "build", "--base", "./", "--target", "es2022"], {
      cwd: join(folder, "vite"),
    });
    expect(await titleOf(ctx, join(folder, "vite/dist"))).toBe(FOUR_ANSWERS);
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

  it("works as it stands, by relative URLs, in the page and in workers", async (ctx) => {
    const { folder } = project();
    const dist = "../node_modules/slirp-wasm/dist";
    for (const name of readdirSync(PAGE)) {
      const text = readFileSync(join(PAGE, name), "utf8");
      project().write({
        [`relative/${name}`]: text.replace(/"slirp-wasm\/(\w+)"/, `"${dist}/$1.js"`),
      });
    }
    expect(await titleOf(ctx, folder, "relative/")).toBe(FOUR_ANSWERS);
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
