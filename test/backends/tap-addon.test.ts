/** Native addons: how they are found, and what their functions say to what they are not meant to be given. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/addons/load-addon.js";
import { loadTapAddon } from "../../src/backends/tap-addon.js";
import { openTapDescriptor } from "../../src/backends/tap-descriptor.js";
import { ErrorCode } from "../../src/errors.js";
import { describeTap } from "../support/describe-tap.js";

describe("an addon", () => {
  it("that is not there gives an error that lists what was tried", () => {
    let message = "";
    try {
      loadAddon("no-such-addon");
    } catch (error) {
      expect(error).toMatchObject({ code: ErrorCode.addonUnavailable });
      message = (error as Error).message;
    }
    expect(message).toMatch(/prebuilds.*no-such-addon\.node is not there/);
    expect(message).toContain("native-addons");
  });

  it("that cannot be loaded says why", () => {
    const folder = mkdtempSync(join(tmpdir(), "addons-"));
    writeFileSync(join(folder, "broken.node"), "this is no addon");
    const { SLIRP_WASM_ADDONS: before } = process.env;
    process.env.SLIRP_WASM_ADDONS = folder;
    try {
      expect(() => loadAddon("broken")).toThrow(/broken\.node cannot be loaded \(/);
    } finally {
      if (before === undefined) delete process.env.SLIRP_WASM_ADDONS;
      else process.env.SLIRP_WASM_ADDONS = before;
      rmSync(folder, { recursive: true });
    }
  });
});

describeTap("an addon's functions", (test) => {
  test("refuse what they are not meant to be given, and go on", async (world) => {
    const addon = loadTapAddon() as unknown as Record<string, (...values: unknown[]) => unknown>;
    const { fd } = await world.open();
    for (const values of [[], [fd], ["x", 1, 2], [{}, {}, {}], [fd, 999, 0], [-1, 207, 0]]) {
      expect(() => addon.control?.(...values)).toThrow();
    }
    for (const number of [NaN, Infinity, 0.5, 2 ** 31, -(2 ** 31) - 1, "0", null]) {
      expect(() => addon.closeDescriptor?.(number)).toThrow(/a whole number is expected/);
    }
    expect(() => addon.openTun?.("a\0b", -1)).toThrow(/NUL/);
    expect(() => addon.getHardwareAddress?.(-1)).toThrow(/EBADF/);
    expect(addon.getHardwareAddress?.(fd)).toHaveLength(6);
    expect(() => addon.setInterface?.(fd, "x".repeat(99), 0)).toThrow(/too long/);
    const tap = openTapDescriptor(loadTapAddon(), { namespace: world.namespace.path });
    const Port = addon.FramePort as unknown as new (...values: unknown[]) => object;
    const bytes = new Uint8Array(9);
    const numbers = new Uint32Array(8);
    const file = openSync("/etc/hostname", "r");
    const none = (): void => undefined;
    const bad: [string, RegExp, ...unknown[]][] = [
      ["nothing", /too few arguments/],
      ["no callback", /too few/, tap.fd, true, bytes, numbers, numbers, numbers],
      ["no descriptor", /a whole number/, "3", true, bytes, numbers, numbers, numbers, none],
      ["no boolean", /a boolean/, tap.fd, 1, bytes, numbers, numbers, numbers, none],
      [
        "a plain array",
        /a Uint8Array and three/,
        tap.fd,
        true,
        [],
        numbers,
        numbers,
        numbers,
        none,
      ],
      [
        "bytes of offsets",
        /three Uint32Arrays/,
        tap.fd,
        true,
        bytes,
        bytes,
        numbers,
        numbers,
        none,
      ],
      ["a word to call", /a callback/, tap.fd, true, bytes, numbers, numbers, numbers, "none"],
      [
        "no open descriptor",
        /EBADF.*uv_poll_init/,
        -1,
        true,
        bytes,
        numbers,
        numbers,
        numbers,
        none,
      ],
      ["a file", /EPERM.*uv_poll_init/, file, true, bytes, numbers, numbers, numbers, none],
    ];
    for (const [what, message, ...values] of bad) {
      expect(() => new Port(...values), what).toThrow(message);
    }
    closeSync(file);
    const { send } = Port.prototype as { send(frame: Uint8Array): number };
    expect(() => send.call({}, new Uint8Array(60))).toThrow(/Illegal invocation/);
    closeSync(tap.fd);
  });
});
