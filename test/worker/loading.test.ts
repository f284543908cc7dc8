/** Who loads what: pages without a worker do not pay for it, and the worker's script does not reach what starts workers. */
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The sources that are loaded with an entry; `isLazy`: and with what it may import later. */
async function sourcesOf(entry: string, isLazy: boolean): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [`src/${entry}.ts`],
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    format: "esm",
    outdir: "out",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const outputs = new Set<string>();
  const add = (name: string): void => {
    if (outputs.has(name)) return;
    outputs.add(name);
    for (const { path, kind } of metafile.outputs[name]?.imports ?? []) {
      if (isLazy || kind === "import-statement") add(path);
    }
  };
  add(`out/${entry}.js`);
  return inputsOf(metafile, outputs);
}

function inputsOf(metafile: Metafile, outputs: Iterable<string>): string[] {
  return [...outputs].flatMap((name) => Object.keys(metafile.outputs[name]?.inputs ?? {}));
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
