/**
 * What README, ARCHITECTURE and comments say of the checkout itself: files that they name are there, folders and entry points that are
 * there are named.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { ROOT, runProgram } from "./scratch.js";

const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "bench/README.md"];

/** Made by set-up, so that git does not know them. */
const MADE = /^(dist|build|prebuilds|wasm\/out|vendor\/libslirp\/upstream|upstream)\//;

const read = (name: string): string => readFileSync(join(ROOT, name), "utf8");

async function listTracked(ctx: TestContext): Promise<string[]> {
  if (!existsSync(join(ROOT, ".git"))) return ctx.skip("this is not a git checkout");
  const { stdout } = await runProgram("git", ["ls-files", "-z", "-co", "--exclude-standard"]);
  return stdout.split("\0").filter((name) => name !== "" && existsSync(join(ROOT, name)));
}

/** Finds what is named by a whole path, by the end of one, or by a path with a star in it. */
function makeFinder(tracked: readonly string[]): (name: string, from: string) => boolean {
  const paths = new Set(tracked.flatMap((name) => [name, ...foldersOf(name)]));
  const ends = new Set([...paths].flatMap((path) => suffixesOf(path)));
  return (name, from) => {
    const plain = name.replace(/\/$/, "");
    if (plain.includes("*")) {
      const pattern = new RegExp(`^(.*/)?${plain.split("*").map(escape).join("[^/]*")}$`);
      return [...paths].some((path) => pattern.test(path));
    }
    return MADE.test(name) || paths.has(join(dirname(from), plain)) || ends.has(plain);
  };
}

function foldersOf(path: string): string[] {
  const folder = dirname(path);
  return folder === "." ? [] : [folder, ...foldersOf(folder)];
}

function suffixesOf(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, index) => parts.slice(index).join("/"));
}

const escape = (text: string): string => text.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&");

/** Words in backquotes that are files or folders of ours by their look. */
function namedIn(markdown: string, topLevel: ReadonlySet<string>): string[] {
  const quoted = [...markdown.matchAll(/`([^`\s]+)`/g)].map(([, word = ""]) => word);
  return quoted.filter((word) => {
    if (!/^[\w./*-]+$/.test(word) || word.startsWith("/")) return false;
    const first = word.split("/")[0] ?? "";
    return (word.includes("/") && topLevel.has(first)) || /\w\.(ts|mjs|c|h)$/.test(word);
  });
}

/** Files with an ending of ours in the comments of a source file. */
function namedInComments(source: string): string[] {
  const comments = source.match(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm) ?? [];
  return comments.flatMap(
    (text) => text.match(/(?<![\w./:-])[\w*/-]*[a-z*]\.(ts|mjs)(?![\w.])/g) ?? [],
  );
}

describe("the documentation", () => {
  it.for(DOCUMENTS)("%s names no file or folder that is not there", async (document, ctx) => {
    const tracked = await listTracked(ctx);
    const isThere = makeFinder(tracked);
    const topLevel = new Set(tracked.map((name) => name.split("/")[0] ?? ""));
    const named = namedIn(read(document), topLevel);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !isThere(name, document))).toEqual([]);
  });

  it("names no function, class or option that no source has", async (ctx) => {
    const sources = (await listTracked(ctx)).filter((name) => /\.(ts|mjs|c|h|json)$/.test(name));
    const words = new Set(sources.flatMap((name) => read(name).match(/\w+/g) ?? []));
    const quoted = [...read("ARCHITECTURE.md").matchAll(/`(?:\w+\.)*(\w+)(?:\(.*?\))?`/g)];
    expect(quoted.length).toBeGreaterThan(0);
    const names = quoted.map(([, name = ""]) => name);
    expect(names.filter((name) => !words.has(name))).toEqual([]);
  });

  it("is linked to from README by names that are there", () => {
    const links = [...read("README.md").matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, to]) => to);
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) expect(existsSync(join(ROOT, link ?? "")), link).toBe(true);
  });

  it("has every folder of src in ARCHITECTURE's table", async (ctx) => {
    const folders = new Set(
      (await listTracked(ctx)).flatMap((name) => /^src\/[^/]+(?=\/)/.exec(name)?.[0] ?? []),
    );
    const table =
      read("ARCHITECTURE.md")
        .match(/^\| `.*$/gm)
        ?.join("\n") ?? "";
    expect([...folders].filter((folder) => !table.includes(`\`${folder}/\``))).toEqual([]);
  });

  it("has every entry point of the package in README", () => {
    const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, unknown> };
    const readme = read("README.md");
    const missing = Object.keys(exports)
      .map((name) => `slirp-wasm${name.slice(1)}`)
      .filter((name) => !readme.includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });
});

describe("comments", () => {
  it("name no source file that is not there", async (ctx) => {
    const tracked = await listTracked(ctx);
    const isThere = makeFinder(tracked);
    const sources = tracked.filter(
      (name) => /\.(ts|mjs|c|h)$/.test(name) && statSync(join(ROOT, name)).isFile(),
    );
    const stale = sources.flatMap((source) =>
      namedInComments(read(source))
        .filter((name) => !isThere(name, source))
        .map((name) => `${source} names ${name}`),
    );
    expect(stale).toEqual([]);
  });
});
