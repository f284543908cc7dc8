/** Who loads what: pages without a worker do not pay for it, and the worker's script does not reach what starts workers. */
import { expect, it } from "vitest";
import { bundleForPage } from "../support/page-bundle.js";

/** The sources that are loaded with an entry; `isLazy`: and with what it may import later. */
async function sourcesOf(entry: string, isLazy: boolean): Promise<readonly string[]> {
  const { sources } = await bundleForPage(`export * from "./src/${entry}.ts";`, {
    lazyToo: isLazy,
    ignoreAnnotations: true,
  });
  return sources;
}

it("a page without a worker loads nothing of it", async () => {
  const loaded = await sourcesOf("browser", false);
  expect(loaded).toContain("src/slirp/slirp.ts");
  expect(loaded.filter((name) => name.startsWith("src/worker/"))).toEqual([]);
  expect(await sourcesOf("browser", true)).toContain("src/worker/worker-slirp.ts");
});

it("the worker's script starts no workers: bundlers refuse a circle", async () => {
  const loaded = await sourcesOf("slirp-worker", true);
  expect(loaded).toContain("src/worker/serve-stack.ts");
  expect(loaded).not.toContain("src/worker/start-worker.ts");
});
