/**
 * A site for tests in a browser: scripts of the test's own, bundled from the sources, with the guest's image, the module and a relay beside
 * them.
 */
import { once } from "node:events";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { builtinModules, createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { DEFAULT_IMAGE_FOLDER } from "../../src/cli/guest-image.js";
import { createRelay, type RelayOptions } from "../../src/relay.js";
import { moduleUrl } from "../../src/slirp/load-module.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const V86_WASM = createRequire(import.meta.url).resolve("v86/build/v86.wasm");

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  json: "application/json",
  txt: "text/plain",
  wasm: "application/wasm",
};

/** What Vite does in the demo: `x?url` is where x can be loaded from. */
const wasmUrl: Plugin = {
  name: "wasm-url",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\?url$/ }, ({ path }) => ({ path, namespace: "url" }));
    onLoad({ filter: /.*/, namespace: "url" }, () => ({ contents: `export default "/v86.wasm"` }));
  },
};

/** Bundles a script that imports from the root of the checkout (`./src/browser.js`). */
export async function bundlePageScript(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: ROOT, loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "error",
    plugins: [wasmUrl],
    // v86 looks for Node at run time.
    external: ["node:*", ...builtinModules],
  });
  return outputFiles[0]?.text ?? "";
}

/** A site on loopback. */
export interface PageSite extends AsyncDisposable {
  readonly url: string;
}

/** Serves texts by path (`/index.html` also as `/`), `/image/…`, `/slirp.wasm`, `/v86.wasm`, and a relay at `/relay/`. */
export async function servePageSite(
  texts: Readonly<Record<string, string>>,
  relayOptions: RelayOptions = {},
): Promise<PageSite> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://site").pathname;
    const name = path === "/" ? "/index.html" : path;
    const type = TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    const file = fileOf(name);
    const text = texts[name];
    if (text !== undefined) response.writeHead(200, { "Content-Type": type }).end(text);
    else if (file !== undefined && existsSync(file)) {
      response.writeHead(200, { "Content-Type": type });
      createReadStream(file).pipe(response);
    } else response.writeHead(404, { "Content-Type": "text/plain" }).end("not of this site");
  });
  const relay = createRelay(relayOptions);
  server.on("upgrade", (request, socket, head) => {
    relay.handleUpgrade(request, socket, head);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`,
    async [Symbol.asyncDispose]() {
      server.close();
      await relay.close(0);
      server.closeAllConnections();
    },
  };
}

function fileOf(name: string): string | undefined {
  if (name === "/slirp.wasm") return fileURLToPath(moduleUrl);
  if (name === "/v86.wasm") return V86_WASM;
  if (!name.startsWith("/image/")) return undefined;
  const path = normalize(join(DEFAULT_IMAGE_FOLDER, name.slice("/image/".length)));
  return path.startsWith(DEFAULT_IMAGE_FOLDER + sep) ? path : undefined;
}
