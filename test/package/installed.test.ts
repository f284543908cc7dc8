/** The package installed into an empty project: Node and the compiler find all they need there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT, runProgram } from "../house/scratch.js";
import { runSuccessfully, shareInstalledProject } from "./installed-project.js";

const CONSUMERS = join(ROOT, "test/package/consumers");
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

describe("the installed package", () => {
  const project = shareInstalledProject();

  it("gives a Node script a stack that answers ARP and DHCP", async () => {
    project().write({ "node.mjs": readFileSync(join(CONSUMERS, "node.mjs"), "utf8") });
    const { stdout } = await runSuccessfully(process.execPath, ["node.mjs"], {
      cwd: project().folder,
    });
    expect(stdout.split("\n")).toEqual(["taken", "10.0.2.2", "10.0.2.15", ""]);
  });

  it("depends on nothing that runs at install time, and on few packages", async () => {
    const { stdout } = await runSuccessfully("npm", ["ls", "--all", "--parseable"], {
      cwd: project().folder,
    });
    const packages = stdout.trim().split("\n").slice(2);
    // commander, ipaddr.js, pino, prom-client, ws and what they need.
    expect(packages.length).toBeLessThan(30);
    const scripts = packages.filter((folder) => {
      const text = readFileSync(join(folder, "package.json"), "utf8");
      const manifest = JSON.parse(text) as { scripts?: Record<string, string> };
      return manifest.scripts?.["install"] ?? manifest.scripts?.["postinstall"];
    });
    expect(scripts).toEqual([]);
  });

  const RESOLUTIONS = [
    { module: "nodenext", moduleResolution: "nodenext" },
    { module: "esnext", moduleResolution: "bundler" },
  ];

  it.each(RESOLUTIONS)(
    "type-checks with moduleResolution $moduleResolution, libraries included",
    async (resolution) => {
      const compilerOptions = {
        ...resolution,
        target: "es2022",
        lib: ["es2022", "dom", "dom.iterable"],
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        typeRoots: [join(ROOT, "node_modules/@types")],
        types: ["node"],
      };
      project().write({
        "types.ts": readFileSync(join(CONSUMERS, "types.ts"), "utf8"),
        "tsconfig.json": JSON.stringify({ compilerOptions, files: ["types.ts"] }),
      });
      const { stdout } = await runProgram(process.execPath, [TSC, "-p", "."], {
        cwd: project().folder,
      });
      expect(stdout).toBe("");
    },
  );

  it("has the command, which says what it lacks outside of a checkout", async () => {
    const command = join(project().folder, "node_modules/.bin/slirp-wasm");
    const { stdout } = await runSuccessfully(command, ["--help"]);
    expect(stdout).toContain("relay");
    const run = await runProgram(command, ["run", "--", "true"]);
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toContain("npm install v86");
    const demo = await runProgram(command, ["demo", "--listen", "127.0.0.1:0"]);
    expect(demo).toMatchObject({ status: 1, stdout: "" });
    expect(demo.stderr).toContain("npm run setup");
  });
});
