/** The makers of the guest image, as far as they work without Debian's packages. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CpioWriter, readCpio } from "../../scripts/guest/cpio.mjs";
import { buildInitrd, guestSources } from "../../scripts/guest/initrd.mjs";
import { findModules } from "../../scripts/guest/modules.mjs";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

describe("cpio", () => {
  it("reads back every file that was written, whatever its length", () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,12}$/).map((text) => `d/${text}`);
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, fc.uint8Array({ maxLength: 64 })), {
          selector: ([path]) => path,
        }),
        (files) => {
          const writer = new CpioWriter();
          for (const [path, data] of files) writer.file(path, data, 0o755);
          const read = [...readCpio(writer.toBuffer())].filter((entry) => entry.path !== "d");
          expect(read.map((entry) => entry.path)).toEqual(files.map(([path]) => path));
          expect(read.map((entry) => Buffer.from(entry.data))).toEqual(
            files.map(([, data]) => Buffer.from(data)),
          );
          expect(read.every((entry) => entry.mode === 0o100755)).toBe(true);
        },
      ),
    );
  });

  it("writes folders before what lies in them, each once", () => {
    const writer = new CpioWriter().file("a/b/c", "x").link("a/b/d", "c").folder("a");
    const paths = [...readCpio(writer.toBuffer())].map((entry) => entry.path);
    expect(paths).toEqual(["a", "a/b", "a/b/c", "a/b/d"]);
    expect(() => writer.file("a/b/c", "y")).toThrow(/has a\/b\/c already/);
  });

  it("reads archives one behind the other, and refuses what is none", () => {
    const one = new CpioWriter().file("one", "1").toBuffer();
    const two = new CpioWriter().file("two", "2").toBuffer();
    const both = Buffer.concat([one, Buffer.alloc(512), two]);
    expect([...readCpio(both)].map((entry) => entry.path)).toEqual(["one", "two"]);
    expect(() => [...readCpio(Buffer.from("not a cpio archive"))]).toThrow(/at byte 0/);
    expect(() => [...readCpio(one.subarray(0, one.indexOf("1")))]).toThrow(/cpio|ends within/);
  });
});

describe("findModules", () => {
  it("finds modules whichever way their names are written, in the order asked for", () => {
    const paths = ["lib/x/virtio_net.ko", "lib/y/ne2k-pci.ko", "lib/y/readme"];
    expect([...findModules(paths, ["ne2k_pci", "virtio-net"])]).toEqual([
      ["ne2k_pci", "lib/y/ne2k-pci.ko"],
      ["virtio-net", "lib/x/virtio_net.ko"],
    ]);
  });

  it("names the modules that are not there", () => {
    expect(() => findModules(["a/8390.ko"], ["8390", "b", "c"])).toThrow(/no module b, c/);
  });
});

describe("initrd", () => {
  it("has the scripts, the programs and the modules with their order", () => {
    const initrd = buildInitrd(ROOT, {
      files: new Map([["bin/busybox", Buffer.from("busybox")]]),
      modules: new Map([
        ["virtio", Buffer.from("1")],
        ["virtio_net", Buffer.from("2")],
      ]),
    });
    const entries = new Map([...readCpio(gunzipSync(initrd))].map((entry) => [entry.path, entry]));
    expect(entries.get("lib/modules/order")?.data.toString()).toBe("virtio\nvirtio_net\n");
    expect(entries.get("bin/sh")?.data.toString()).toBe("busybox");
    expect(entries.get("init")?.mode).toBe(0o100755);
    for (const path of ["sbin/agent", "sbin/job", "sbin/on-console", "sbin/dhcp-lease"]) {
      expect(entries.has(path), path).toBe(true);
    }
  });

  it("is the same when it is made again", () => {
    const parts = { files: new Map([["bin/busybox", Buffer.from("x")]]), modules: new Map() };
    expect(buildInitrd(ROOT, parts).equals(buildInitrd(ROOT, parts))).toBe(true);
  });

  it("is made of shell scripts without a mistake of syntax", () => {
    const scripts = guestSources(ROOT).filter((path) =>
      readFileSync(path, "utf8").startsWith("#!/bin/"),
    );
    expect(scripts.length).toBeGreaterThanOrEqual(5);
    for (const path of scripts) execFileSync("sh", ["-n", path], { stdio: "pipe" });
  });

  it("counts every file that makes it among the sources of the image", () => {
    const sources = guestSources(ROOT);
    expect(sources).toContain(join(ROOT, "scripts/guest/agent"));
    expect(sources).toContain(join(ROOT, "scripts/guest/cpio.mjs"));
  });
});
