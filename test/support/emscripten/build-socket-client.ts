/**
 * Compiles socket-client.c with emscripten as its users do: POSIX sockets, which become WebSockets (SOCKFS).
 *
 * `Module.websocket.url`, emscripten's way to name a server at run time, is taken from the environment or the page's query.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SOURCE = fileURLToPath(new URL("socket-client.c", import.meta.url));

/** The bridge to whoever runs it. */
const PRE_JS = `
var query = typeof location === "object" ? new URLSearchParams(location.search) : undefined;
if (query) Module.arguments = query.getAll("argument");
var socketUrl = query ? query.get("url") : process.env.SOCKET_URL;
if (socketUrl) Module.websocket = { url: socketUrl };
`;

/** Why it cannot be compiled here, for `ctx.skip`. */
export function emscriptenMissing(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const isThere = folders.some((folder) => existsSync(join(folder, "emcc")));
  return isThere ? undefined : "emcc is not there (Debian package emscripten)";
}

/** Answers the program: one file of JavaScript, for Node and for pages. */
export async function buildSocketClient(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-emscripten-"));
  try {
    const [preJs, output] = [join(folder, "pre.js"), join(folder, "client.js")];
    await writeFile(preJs, PRE_JS);
    const settings = ["EXIT_RUNTIME=1", "SINGLE_FILE=1", "WASM_ASYNC_COMPILATION=0"];
    const options = ["-O1", "--pre-js", preJs, ...settings.flatMap((each) => ["-s", each])];
    // Debian's emcc does not find its optimizer's parser when Node is not Debian's.
    const env = { ...process.env, NODE_PATH: "/usr/share/nodejs" };
    await promisify(execFile)("emcc", [SOURCE, "-o", output, ...options], { env });
    return await readFile(output, "utf8");
  } finally {
    await rm(folder, { recursive: true });
  }
}
