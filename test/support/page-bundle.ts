/** What a page has to load: our sources, bundled in pieces as a page's bundler does it. */
import { fileURLToPath } from "node:url";
import { build, type OutputFile } from "esbuild";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What is loaded. */
export interface PageBundle {
  /** Scripts, minified. */
  readonly scripts: readonly OutputFile[];
  /** The sources that they were made of, from the root of the checkout. */
  readonly sources: readonly string[];
}

/** What is asked for. */
export interface PageBundleOptions {
  /** What may be imported later, too. Default false. */
  readonly lazyToo?: boolean;
  /** Keeps modules that package.json does not list among those with side effects: for scripts that are all side effect. */
  readonly ignoreAnnotations?: boolean;
}

/** Bundles a program, a module that imports `./src/….ts`, and answers what is loaded with it. */
export async function bundleForPage(
  code: string,
  { lazyToo = false, ignoreAnnotations = false }: PageBundleOptions = {},
): Promise<PageBundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: ROOT },
    absWorkingDir: ROOT,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    // What is loaded when first used is not what must be loaded.
    splitting: true,
    outdir: "out",
    metafile: true,
    platform: "browser",
    target: "es2022",
    ignoreAnnotations,
    logLevel: "error",
  });
  const needed = new Set<string>();
  const add = (path: string): void => {
    if (needed.has(path)) return;
    needed.add(path);
    for (const each of metafile.outputs[path]?.imports ?? []) {
      if (lazyToo || each.kind === "import-statement") add(each.path);
    }
  };
  add("out/stdin.js");
  return {
    scripts: outputFiles.filter(({ path }) =>
      [...needed].some((name) => path.endsWith(`/${name}`)),
    ),
    sources: [...needed].flatMap((name) => Object.keys(metafile.outputs[name]?.inputs ?? {})),
  };
}
