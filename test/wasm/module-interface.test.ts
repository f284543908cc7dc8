/**
 * Both sides of the module's boundary say the same: C's headers, the list of exports, and JavaScript.
 */
import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { HostCallContext } from "../../src/slirp/host-call-context.js";
import { createHostCalls } from "../../src/slirp/host-calls.js";
import { moduleUrl } from "../../src/slirp/load-module.js";
import { SharedField } from "../../src/slirp/module-instance.js";

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[^]*?\*\//g, "");
}

const header = withoutComments(read("vendor/libslirp/upstream/src/libslirp.h")).replace(
  /^\s*#.*$/gm,
  "",
);

/** Names that stand between a struct's braces, before their semicolons. */
function fieldsOf(source: string, struct: RegExp): string[] {
  const body = struct.exec(withoutComments(source))?.[1];
  if (body === undefined) throw new Error(`no ${String(struct)}`);
  return [...body.matchAll(/(\w+)(?:\[\d+\])?;/g)].map(([, name]) => name ?? "");
}

describe("what the module exports", () => {
  const listed = JSON.parse(read("wasm/exports.json")) as Record<string, string[]>;
  let exported: string[];
  beforeAll(async () => {
    const module = await WebAssembly.compile(readFileSync(moduleUrl));
    exported = WebAssembly.Module.exports(module)
      .filter(({ kind }) => kind === "function")
      .map(({ name }) => name);
  });

  it("is what exports.json lists, all of it", () => {
    expect(Object.keys(listed).filter((name) => !exported.includes(name))).toEqual([]);
  });

  it("has every function of libslirp.h", () => {
    const declared = [...header.matchAll(/SLIRP_EXPORT\s[^;(]*?(\w+)\(/g)].map(([, name]) => name);
    expect(declared.length).toBeGreaterThan(20);
    expect(declared.filter((name) => !exported.includes(name ?? ""))).toEqual([]);
  });

  it("takes as many parameters as libslirp.h and exports.json say", async () => {
    const module = await WebAssembly.compile(readFileSync(moduleUrl));
    const nothing = (): number => 0;
    const imports: Record<string, Record<string, () => number>> = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      (imports[from] ??= {})[name] = nothing;
    }
    const instance = await WebAssembly.instantiate(module, imports);
    for (const [name, [, ...parameters]] of Object.entries(listed)) {
      const { length } = instance.exports[name] as () => void;
      expect(length, name).toBe(parameters.length);
    }
  });
});

describe("what the module imports", () => {
  it("is what host.h declares, and what JavaScript gives", async () => {
    const declared = [...withoutComments(read("wasm/host.h")).matchAll(/IMPORTED\((host_\w+)\)/g)]
      .map(([, name]) => name)
      .sort();
    const given = Object.keys(createHostCalls({ table: {} } as unknown as HostCallContext)).sort();
    expect(given).toEqual(declared);
    const module = await WebAssembly.compile(readFileSync(moduleUrl));
    const imported = WebAssembly.Module.imports(module).filter(
      ({ module: from }) => from === "host",
    );
    expect(imported.map(({ name }) => name).filter((name) => !given.includes(name))).toEqual([]);
  });
});

describe("the shared block", () => {
  it("has the same fields in the same order on both sides", () => {
    const inC = fieldsOf(read("wasm/shared.h"), /struct shared_block \{([^}]*)\}/);
    const camel = inC.map((name) =>
      name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    );
    expect(Object.keys(SharedField)).toEqual(camel);
    expect(Object.values(SharedField)).toEqual(camel.map((_, index) => index));
  });

  it("has 32 bits a field", () => {
    const body = /struct shared_block \{([^}]*)\}/.exec(
      withoutComments(read("wasm/shared.h")),
    )?.[1];
    const types = [...(body ?? "").matchAll(/^\s*(\w+)\s+\w+;/gm)].map(([, type]) => type);
    expect(types.length).toBe(Object.keys(SharedField).length);
    expect(new Set(types)).toEqual(new Set(["uint32_t"]));
  });
});

describe("libslirp's structures", () => {
  const ours = readdirSync(new URL("../../wasm", import.meta.url))
    .filter((name) => name.endsWith(".c"))
    .map((name) => withoutComments(read(`wasm/${name}`)))
    .join("\n");

  it("every field of SlirpConfig is set", () => {
    const fields = fieldsOf(header, /typedef struct SlirpConfig \{([^}]*)\}/);
    expect(fields).toHaveLength(29);
    const unset = fields.filter((name) => !new RegExp(`config\\.${name}\\b`).test(ours));
    expect(unset).toEqual([]);
  });

  it("every callback of SlirpCb is given, but for the one that another replaces", () => {
    const body = /typedef struct SlirpCb \{([^]*?)\} SlirpCb;/.exec(header)?.[1] ?? "";
    const names = [...body.matchAll(/\(\*(\w+)\)|SlirpWriteCb (\w+);/g)].map(([, a, b]) => a ?? b);
    expect(names).toContain("send_packet");
    const missing = names.filter((name) => !new RegExp(`\\.${String(name)} =`).test(ours));
    // libslirp.h: "Not needed if timer_new_opaque is provided."
    expect(missing).toEqual(["timer_new"]);
  });
});
