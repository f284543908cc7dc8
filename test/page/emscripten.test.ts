/**
 * A program with POSIX sockets in a page, and our relay in websockify's place: here emscripten asks for the subprotocol "binary", and the
 * browser insists on it.
 */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { listenRelay } from "../../src/relay.js";
import { browserMissing, launchBrowser } from "../support/browser.js";
import { buildSocketClient, emscriptenMissing } from "../support/emscripten/build-socket-client.js";

const PAGE = `<!doctype html><title>program</title><pre></pre><script>
  var Module = { print: (line) => (document.querySelector("pre").textContent += line + "\\n") };
</script><script src="client.js"></script>`;

describe("a program compiled by emscripten, in a page", () => {
  it("sends and receives through the relay", async (ctx) => {
    const missing = browserMissing() ?? emscriptenMissing();
    if (missing !== undefined) ctx.skip(missing);
    const program = await buildSocketClient();
    const echo = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
    const site = createHttpServer((request, response) => {
      const isScript = request.url === "/client.js";
      response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" });
      response.end(isScript ? program : PAGE);
    });
    await Promise.all([echo, site].map((each) => once(each.listen(0, "127.0.0.1"), "listening")));
    const portOf = (each: { address(): unknown }): string =>
      String((each.address() as AddressInfo).port);
    const relay = await listenRelay({ websockify: { "/": `127.0.0.1:${portOf(echo)}` } });
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      const protocols: string[] = [];
      page.on("websocket", (socket) => protocols.push(socket.url()));
      const words = ["127.0.0.1", new URL(relay.url).port, "hello, world", "120000"];
      const query = words.map((word) => `argument=${encodeURIComponent(word)}`).join("&");
      await page.goto(`http://127.0.0.1:${portOf(site)}/?${query}`);
      const printed = page.locator("pre");
      await expect
        .poll(() => printed.innerText(), { timeout: 60_000 })
        .toContain("received 120000 bytes, sum");
      expect(protocols).toEqual([relay.url]);
    } finally {
      await browser.close();
      await relay.close(0);
      site.close();
      echo.close();
    }
  });
});
