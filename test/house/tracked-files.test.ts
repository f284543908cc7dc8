/**
 * What must never get into the repository: places that packages come from, paths of one machine, binaries,
 * libslirp's own source.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { ROOT, runProgram } from "./scratch.js";

/** Put together here, so that this file does not name them itself. */
const REGISTRY_HOSTS = [
  ["registry", "npmjs", "org"],
  ["registry", "yarnpkg", "com"],
  ["deb", "debian", "org"],
  ["security", "debian", "org"],
  ["snapshot", "debian", "org"],
  ["archive", "ubuntu", "com"],
].map((labels) => labels.join("."));

async function listTracked(ctx: TestContext): Promise<string[]> {
  if (!existsSync(join(ROOT, ".git"))) return ctx.skip("this is not a git checkout");
  const { stdout } = await runProgram("git", ["ls-files", "-z"]);
  const names = stdout.split("\0").filter((name) => name !== "" && existsSync(join(ROOT, name)));
  expect(names.length).toBeGreaterThan(0);
  return names;
}

async function expectNoneHolds(ctx: TestContext, texts: readonly string[]): Promise<void> {
  for (const name of await listTracked(ctx)) {
    const content = readFileSync(join(ROOT, name), "latin1");
    for (const text of texts) expect(content.includes(text), `${name} holds ${text}`).toBe(false);
  }
}

describe("tracked files", () => {
  it("name no package registry or mirror", async (ctx) => {
    await expectNoneHolds(ctx, REGISTRY_HOSTS);
  });

  it("name no path of this machine", async (ctx) => {
    if (ROOT.split("/").length < 3) ctx.skip(`the checkout's path ${ROOT} is no telling one`);
    await expectNoneHolds(ctx, [`${ROOT}/`]);
  });

  it("are all text", async (ctx) => {
    for (const name of await listTracked(ctx)) {
      expect(readFileSync(join(ROOT, name)).includes(0), `${name} has a NUL byte`).toBe(false);
    }
  });

  it("hold nothing of libslirp but where it comes from", async (ctx) => {
    const names = (await listTracked(ctx)).filter((name) => name.startsWith("vendor/"));
    expect(names.sort()).toEqual([
      "vendor/libslirp/COPYRIGHT-notice",
      "vendor/libslirp/source.json",
    ]);
  });
});
