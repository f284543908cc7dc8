/** `slirp-wasm demo`, what it serves and what it does not. The page itself is tested in a browser (test/page). */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { CliProcess, runCli } from "../support/cli.js";
import { v86ImageMissing } from "../support/v86-image.js";
import { waitUntil } from "../support/wait-until.js";

const PAGE = fileURLToPath(new URL("../../build/demo/index.html", import.meta.url));

function missing(): string | undefined {
  return existsSync(PAGE) ? v86ImageMissing() : `${PAGE} is not built (npm run setup)`;
}

describe("slirp-wasm demo", () => {
  let cli: CliProcess | undefined;
  let port = "";

  beforeAll(async () => {
    if (missing() !== undefined) return;
    const started = new CliProcess(["demo", "--listen", "127.0.0.1:0"]);
    cli = started;
    await waitUntil("it prints its URL", () => started.output.endsWith("\n"));
    ({ port } = new URL(started.output.trim()));
  });

  afterAll(async () => {
    cli?.kill("SIGINT");
    if (cli) expect(await cli.ended()).toMatchObject({ status: 0, signal: null });
  });

  async function ask(
    ctx: TestContext,
    path: string,
    method = "GET",
  ): Promise<{ status: number | undefined; type: string | undefined; body: string }> {
    const reason = missing();
    if (reason !== undefined) ctx.skip(reason);
    const asked = request({ host: "127.0.0.1", port, path, method }).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const type = response.headers["content-type"];
    return { status: response.statusCode, type, body: await text(response) };
  }

  it("serves the page, what it is told, and a page for the guest", async (ctx) => {
    expect(await ask(ctx, "/")).toMatchObject({ status: 200, type: "text/html; charset=utf-8" });
    const settings = JSON.parse((await ask(ctx, "/demo.json")).body) as Record<string, unknown>;
    expect(settings).toMatchObject({
      relay: "relay/",
      hello: `http://demo.localhost:${port}/hello`,
    });
    expect((await ask(ctx, "/hello")).body).toMatch(/^Hello/);
    expect((await ask(ctx, "/image/image.json")).type).toBe("application/json");
  });

  it("serves nothing else", async (ctx) => {
    // What a client's URL parser would straighten out arrives as it is.
    const paths = [
      "/image/../../package.json",
      "/..%2fpackage.json",
      "/../package.json",
      "/image/",
      "/no",
      "//",
    ];
    for (const path of paths) expect((await ask(ctx, path)).status, path).toBe(404);
  });

  it("takes no other methods", async (ctx) => {
    expect((await ask(ctx, "/", "POST")).status).toBe(405);
    expect(await ask(ctx, "/", "HEAD")).toMatchObject({ status: 200, body: "" });
  });

  it("ends with 2 for an address that is none, and with 1 for one that is taken", async (ctx) => {
    expect(await runCli(["demo", "--listen", "here"])).toMatchObject({ status: 2, output: "" });
    const reason = missing();
    if (reason !== undefined) ctx.skip(reason);
    const { status, errorOutput } = await runCli(["demo", "--listen", `127.0.0.1:${port}`]);
    expect(status).toBe(1);
    expect(errorOutput).toContain("EADDRINUSE");
  });
});
