/** What a page has to load before it needs it: of the host networks only the one that most pages use. */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, it } from "vitest";
import * as browser from "../../src/browser.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { nodeWebSocket as webSocket } from "./make-wisp-host-network.js";

it("a page on Wisp relays does not load the other host networks", async () => {
  const entry = fileURLToPath(new URL("../../src/browser.ts", import.meta.url));
  const { metafile } = await build({
    stdin: {
      contents: `export { createSlirp } from ${JSON.stringify(entry)};`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    write: false,
    format: "esm",
    splitting: true,
    outdir: "out",
    metafile: true,
    platform: "browser",
    logLevel: "error",
  });
  const { outputs } = metafile;
  const needed = new Set<string>();
  const add = (path: string): void => {
    const output = outputs[path];
    if (!output || needed.has(path)) return;
    needed.add(path);
    for (const each of output.imports) if (each.kind === "import-statement") add(each.path);
  };
  add(Object.keys(outputs).find((path) => basename(path) === "stdin.js") ?? "");
  const files = [...needed].flatMap((path) =>
    Object.keys(outputs[path]?.inputs ?? {}).map((each) => basename(each)),
  );
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
