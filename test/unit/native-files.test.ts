/** Where native programs are looked for, and what is said of those that are not to be had. */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { findProgram } from "../../src/addons/find-program.js";
import { ErrorCode } from "../../src/errors.js";
import { makeScratch } from "../house/scratch.js";

describe("a native program", () => {
  const before = process.env.SLIRP_WASM_ADDONS;

  afterEach(() => {
    if (before === undefined) delete process.env.SLIRP_WASM_ADDONS;
    else process.env.SLIRP_WASM_ADDONS = before;
  });

  it("that is not there gives an error that lists what was tried", () => {
    const folder = makeScratch();
    process.env.SLIRP_WASM_ADDONS = folder;
    let error: unknown;
    try {
      findProgram("no-such-program");
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: ErrorCode.addonUnavailable });
    const { message } = error as Error;
    expect(message).toContain(`${join(folder, "no-such-program")} is not there; `);
    expect(message).toMatch(/prebuilds.*no-such-program is not there; .*native-addons/);
  });

  it("that may not be run is named as such", () => {
    const folder = makeScratch({ program: "#!/bin/sh\n" });
    process.env.SLIRP_WASM_ADDONS = folder;
    expect(() => findProgram("program")).toThrow(
      `${join(folder, "program")} cannot be run (EACCES)`,
    );
  });

  it("is taken from the folder of one's own first, as addons are", () => {
    const folder = makeScratch({ "netns-helper": "#!/bin/sh\n" });
    chmodSync(join(folder, "netns-helper"), 0o755);
    process.env.SLIRP_WASM_ADDONS = folder;
    expect(findProgram("netns-helper")).toBe(join(folder, "netns-helper"));
  });
});
