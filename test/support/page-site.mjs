/**
 * Serves pages of tests and benchmarks from a loopback address: a folder of sources, bundled by Vite as a user's page is, and the
 * guest's files under `guest/`. Bundled once a process and folder, in memory. Plain JavaScript, for bench/ runs without a compiler.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** The page that has a guest (test/page/site). */
export const GUEST_SITE = fileURLToPath(new URL("../page/site", import.meta.url));

const GUEST_FOLDER = fileURLToPath(new URL("../../build/guest/v86", import.meta.url));

/** @type {Readonly<Record<string, string>>} */
const CONTENT_TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** @typedef {ReadonlyMap<string, string | Uint8Array>} Files content by path from the root */

/** @type {Map<string, Promise<Files>>} */
const bundles = new Map();

/**
 * The folder's files as Vite makes them.
 *
 * @param {string} folder
 * @param {boolean} [minify]
 * @returns {Promise<Files>}
 */
export async function bundleSite(folder, minify = false) {
  const built = await build({
    root: folder,
    base: "./",
    configFile: false,
    logLevel: "error",
    build: { write: false, target: "es2022", assetsInlineLimit: 0, minify },
    worker: { format: "es" },
  });
  /** @type {Map<string, string | Uint8Array>} */
  const files = new Map();
  for (const result of [built].flat()) {
    if (!("output" in result)) throw new Error("Vite watches instead of building");
    for (const file of result.output) {
      files.set(`/${file.fileName}`, file.type === "chunk" ? file.code : file.source);
    }
  }
  return files;
}

/** See the top of the file. */
export class PageSite {
  /** @type {import("node:http").Server} */
  #server;

  /**
   * @param {string} [folder] has an `index.html`; default: the page with a guest
   * @returns {Promise<PageSite>}
   */
  static async start(folder = GUEST_SITE) {
    const bundle = bundles.get(folder) ?? bundleSite(folder);
    bundles.set(folder, bundle);
    const files = await bundle;
    const server = createServer((request, response) => {
      const [path = "/"] = (request.url ?? "/").split("?", 1);
      const name = path === "/" ? "/index.html" : path;
      const content = files.get(name);
      if (content !== undefined) {
        response.writeHead(200, { "Content-Type": contentType(name) }).end(content);
      } else if (path.startsWith("/guest/")) {
        void sendGuestFile(response, basename(path));
      } else {
        response.writeHead(404).end();
      }
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return new PageSite(server);
  }

  /** @param {import("node:http").Server} server that listens */
  constructor(server) {
    this.#server = server;
  }

  get url() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${String(port)}/`;
  }

  async close() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {string} name
 */
async function sendGuestFile(response, name) {
  const path = join(GUEST_FOLDER, name);
  const file = await stat(path).catch(() => undefined);
  if (!file?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "Content-Type": contentType(name), "Content-Length": file.size });
  createReadStream(path)
    .on("error", () => response.destroy())
    .pipe(response);
}

/** @param {string} name */
function contentType(name) {
  return CONTENT_TYPES[extname(name)] ?? "application/octet-stream";
}
