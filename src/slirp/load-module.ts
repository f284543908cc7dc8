/**
 * Gets the WebAssembly module: compiled once a process or page, whatever the number of stacks.
 *
 * The module is a real file of the package, found relative to this one. Who bundles, caches or embeds it otherwise gives a URL,
 * the bytes or a compiled module instead.
 */
import { ErrorCode, SlirpError } from "../errors.js";

/** Where the module may come from. */
export type ModuleSource = WebAssembly.Module | ArrayBuffer | Uint8Array | URL | string;

/** The file in the package. From `src/slirp` and from `dist/slirp` it is the same way. */
export const moduleUrl: URL = new URL("../../wasm/out/slirp.wasm", import.meta.url);

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/**
 * Compiles a module, or fetches and compiles it. The same URL is fetched once.
 * @param readUrl how to get the bytes of a URL; default `fetch`. Node gives its file system, for `fetch` knows no `file:`.
 * @throws SlirpError `moduleUnusable` where there is none or it is no WebAssembly.
 */
export async function loadModule(
  source: ModuleSource = moduleUrl,
  readUrl: (url: URL) => Promise<ArrayBuffer | Uint8Array> = fetchBytes,
): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source !== "string" && !(source instanceof URL))
    return compile(source, "the bytes given");
  const url = new URL(source, moduleUrl);
  let module = compiled.get(url.href);
  if (!module) {
    module = readUrl(url).then((bytes) => compile(bytes, url.href));
    compiled.set(url.href, module);
    module.catch(() => compiled.delete(url.href));
  }
  return module;
}

async function compile(
  bytes: ArrayBuffer | Uint8Array,
  origin: string,
): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw new SlirpError(ErrorCode.moduleUnusable, `${origin} is not a WebAssembly module`, {
      cause,
    });
  }
}

async function fetchBytes(url: URL): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) {
    const status = `${String(response.status)} ${response.statusText}`.trim();
    throw new SlirpError(
      ErrorCode.moduleUnusable,
      `the WebAssembly module could not be fetched from ${url.href}: ${status}. It is the file slirp.wasm of the package; ` +
        "give its URL as `wasm` where a bundler has moved it.",
    );
  }
  return response.arrayBuffer();
}
