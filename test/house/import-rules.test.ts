/**
 * The import rules are the compiler's to enforce: here small files that break them are compiled under the
 * project's own tsconfigs, and each must be refused; their well-behaved counterparts must pass.
 */
import { cpSync, readdirSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { makeScratch, ROOT, runProgram, writeFiles } from "./scratch.js";

const TSCONFIGS = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => /(^|\/)tsconfig[^/]*\.json$/.test(name))
  .sort();

/** A file in every project, so that there is something to import. */
const PLAIN_FILES = Object.fromEntries(
  [
    "errors.ts",
    "index.ts",
    "v86.ts",
    "node.ts",
    "qemu.ts",
    "browser.ts",
    "page-slirp.ts",
    "relay.ts",
    "frames/plain.ts",
    "config/plain.ts",
    "slirp/plain.ts",
    "addons/plain.ts",
    "node/plain.ts",
    "browser/plain.ts",
    "worker/plain.ts",
    "relay/plain.ts",
    "service-worker/plain.ts",
    "backends/plain.ts",
    "backends/tap-plain.ts",
    "tap.ts",
    "nics/plain.ts",
    "nics/qemu-plain.ts",
    "cli/main.ts",
  ].map((name) => [`src/${name}`, "export const plain = 1;\n"]),
);

const use = (specifier: string): string => `import "${specifier}";\n`;

/** File -> content, and the error that the compiler must give for it. */
const OFFENDERS: Readonly<Record<string, readonly [content: string, error: RegExp]>> = {
  "src/address.ts": [use("./config/plain.js"), /TS6307/],
  "src/backend.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/virtio-net.ts": ["export const title = document.title;\n", /TS(2584|2304)/],
  "src/host-network.ts": [use("./frames/plain.js"), /TS6307/],
  "src/frames/neighbour.ts": [use("../backends/plain.js"), /TS6307/],
  "src/frames/node-module.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/config/frames.ts": [use("../frames/plain.js"), /TS6307/],
  "src/config/neighbour.ts": [use("../slirp/plain.js"), /TS6307/],
  "src/config/entry.ts": [use("../index.js"), /TS6307/],
  "src/config/node-module.ts": [use("node:fs"), /TS(2307|2591|2882)/],
  "src/config/node-global.ts": ["export const id = process.pid;\n", /TS(2580|2591|2304)/],
  "src/slirp/neighbour.ts": [use("../node/plain.js"), /TS6307/],
  "src/slirp/node-module.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/slirp/dom.ts": ["export const title = document.title;\n", /TS(2584|2304)/],
  "src/addons/neighbour.ts": [use("../node/plain.js"), /TS6307/],
  "src/addons/dom.ts": ["export const title = document.title;\n", /TS(2584|2304)/],
  "src/slirp/addons.ts": [use("../addons/plain.js"), /TS6307/],
  "src/node/neighbour.ts": [use("../slirp/plain.js"), /TS6307/],
  "src/node/dom.ts": ["export const title = document.title;\n", /TS(2584|2304)/],
  "src/browser/neighbour.ts": [use("../slirp/plain.js"), /TS6307/],
  "src/browser/node-module.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/service-worker/neighbour.ts": [use("../browser/plain.js"), /TS6307/],
  "src/service-worker/node-module.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/worker/neighbour.ts": [use("../slirp/plain.js"), /TS6307/],
  "src/worker/node-module.ts": [use("node:worker_threads"), /TS(2307|2591|2882)/],
  "src/relay/neighbour.ts": [use("../node/plain.js"), /TS6307/],
  "src/relay/dom.ts": ["export const title = document.title;\n", /TS(2584|2304)/],
  "src/backends/neighbour.ts": [use("../nics/plain.js"), /TS6307/],
  "src/backends/node-module.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/backends/tap-neighbour.ts": [use("../node/plain.js"), /TS6307/],
  "src/nics/neighbour.ts": [use("../slirp/plain.js"), /TS6307/],
  "src/nics/node-module.ts": [use("node:net"), /TS(2307|2591|2882)/],
  "src/nics/qemu-neighbour.ts": [use("../node/plain.js"), /TS6307/],
};

const WELL_BEHAVED: Readonly<Record<string, string>> = {
  "src/address.ts": use("./errors.js"),
  "src/frames/good.ts": use("../errors.js"),
  "src/config/good.ts": use("../errors.js"),
  "src/slirp/good.ts": `import "../errors.js";\nexport type Made = WebAssembly.Module;\n`,
  "src/addons/good.ts": `import "../errors.js";\nimport "node:fs";\n`,
  "src/node/good.ts": `import "../errors.js";\nimport "../addons/plain.js";\nimport "node:net";\n`,
  "src/browser/good.ts": `import "../errors.js";\nexport const title = document.title;\n`,
  "src/worker/good.ts": `import "../errors.js";\nexport const title = document.title;\n`,
  "src/worker.ts": `import "./page-slirp.js";\nimport "./worker/plain.js";\n`,
  "src/browser.ts": `import "./index.js";\nimport "./browser/plain.js";\n`,
  "src/relay/good.ts": `import "../errors.js";\nimport "node:net";\nimport "ws";\n`,
  "src/relay.ts": use("./relay/plain.js"),
  "src/backends/good.ts": `import "../errors.js";\nimport "../frames/plain.js";\n`,
  "src/backends/tap-good.ts": `import "../errors.js";\nimport "../addons/plain.js";\nimport "node:fs";\n`,
  "src/tap.ts": use("./backends/tap-plain.js"),
  "src/nics/good.ts": use("../errors.js"),
  "src/nics/qemu-good.ts": `import "./plain.js";\nimport "node:net";\n`,
  "src/offloads.ts": use("./frames/plain.js"),
  "src/index.ts": `import "./config/plain.js";\nimport "./slirp/plain.js";\nimport "./backends/plain.js";\n`,
  "src/node.ts": `import "./index.js";\nimport "./node/plain.js";\nimport "node:net";\n`,
  "src/cli/good.ts": `import "../node.js";\nimport "../qemu.js";\nimport "../nics/qemu-plain.js";\n`,
};

/** A copy of the checkout that has the tsconfigs and these sources, and nothing else. */
async function compile(files: Readonly<Record<string, string>>): Promise<string> {
  const copy = makeScratch();
  for (const name of ["tsconfig.json", "tsconfig.base.json", "types", "package.json"]) {
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  for (const name of TSCONFIGS) cpSync(join(ROOT, "src", name), join(copy, "src", name));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  writeFiles(copy, { ...PLAIN_FILES, ...files });
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout } = await runProgram(process.execPath, [tsc, "-b", "--pretty", "false"], {
    cwd: copy,
  });
  return stdout;
}

describe("import rules", () => {
  it("are broken by nothing that keeps to them", async () => {
    expect(await compile(WELL_BEHAVED)).toBe("");
  });

  it("make the compiler refuse each file that breaks one", async () => {
    const contents = Object.entries(OFFENDERS).map(([name, [content]]) => [name, content]);
    const output = await compile(Object.fromEntries(contents) as Record<string, string>);
    for (const [name, [, error]] of Object.entries(OFFENDERS)) {
      const lines = output.split("\n").filter((line) => line.startsWith(`${name}(`));
      expect(lines.join("\n"), `${name} must be refused`).toMatch(error);
    }
  });

  it("leave no source file of the project out", () => {
    const owners = new Map<string, string[]>();
    for (const name of TSCONFIGS) {
      const path = join(ROOT, "src", name);
      const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined };
      const parsed = ts.getParsedCommandLineOfConfigFile(path, {}, host);
      for (const file of parsed?.fileNames ?? []) {
        const source = relative(join(ROOT, "src"), file);
        owners.set(source, [...(owners.get(source) ?? []), name]);
      }
    }
    const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
    for (const source of sources.filter((name) => name.endsWith(".ts"))) {
      expect(owners.get(source), `projects that compile src/${source}`).toHaveLength(1);
    }
  });

  it("hold for every project: the root one builds all of them", () => {
    const text = ts.readConfigFile(join(ROOT, "tsconfig.json"), (path) => ts.sys.readFile(path));
    const config = text.config as { references: { path: string }[] };
    const built = config.references.map(({ path }) =>
      relative("src", path.endsWith(".json") ? path : join(path, "tsconfig.json")),
    );
    expect(built.sort()).toEqual(TSCONFIGS);
  });
});
