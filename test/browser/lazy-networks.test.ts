/** What a page has to load before it needs it: of the host networks only the one that most pages use. */
import { basename } from "node:path";
import { expect, it } from "vitest";
import * as browser from "../../src/browser.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { bundleForPage } from "../support/page-bundle.js";
import { nodeWebSocket as webSocket } from "./make-wisp-host-network.js";

it("a page on Wisp relays does not load the other host networks", async () => {
  const { sources } = await bundleForPage('export { createSlirp } from "./src/browser.ts";');
  const files = sources.map((source) => basename(source));
  expect(files).toContain("wisp-host-network.ts");
  for (const name of [
    "fetch-gateway",
    "named-host-network",
    "routed-host-network",
    "timed-host-network",
    "wsproxy-stream",
  ]) {
    expect(files).not.toContain(`${name}.ts`);
  }
});

it("they are there when they are asked for", async () => {
  const network = createNodeHostNetwork();
  const layered = await browser.withTime(
    await browser.withNames(network, { static: { "a.test": "192.0.2.1" } }),
  );
  const routed = await browser.createRoutedHostNetwork({
    rules: [
      { to: "tcp:80", network: await browser.createFetchHostNetwork() },
      {
        to: "tcp",
        network: await browser.createWsproxyHostNetwork({ url: "ws://relay.test/", webSocket }),
      },
    ],
    default: layered,
  });
  expect(routed.name).toBe("routed");
  expect(layered.name).toBe("node");
  await routed.close();
  expect(network.openDatagram(4)).toBeLessThan(0);
});
