/**
 * Builds the WebAssembly module: libslirp as it is, our own files, one .wasm for browser, worker and Node.
 *
 *   node wasm/build.mjs            writes wasm/out/slirp.wasm and wasm/out/slirp-exports.d.ts
 *
 * Each flag stands with its reason. libslirp is not edited: a file of it is left out because ours takes its place (sbuf.c, cksum.c), a
 * header is pre-empted by defining its guard (sbuf.h, debug.h), a function is wrapped by the linker (`wraps`).
 */
import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const upstream = join(here, "../vendor/libslirp/upstream/src");
const objects = join(here, "../build/wasm");
const out = join(here, "out");

/** Files of libslirp that ours take the place of. */
const replaced = new Set(["sbuf.c", "cksum.c"]);

/** Files that take flow-control decisions by a buffer's limit, not by what is allocated of it (sbuf.h). */
const flowControl = new Set(["slirp.c", "tcp_input.c", "tcp_output.c"]);

/** Files that no frame of a connection passes: compiled for size, which saves 3 KB. */
const cold = new Set([
  "bootp.c",
  "dhcpv6.c",
  "tftp.c",
  "ncsi.c",
  "state.c",
  "stream.c",
  "vmstate.c",
  "misc.c",
  "dnssearch.c",
  "ip_icmp.c",
  "ip6_icmp.c",
  "api.c",
  "configure.c",
  "connecting.c",
  "connections.c",
  "file-calls.c",
  "link-local.c",
]);

/** Functions of libslirp that ours take the place of; the original stays callable as `__real_…`. */
const wraps = [
  "solookup", // lookup.c: a hash table
  "socreate",
  "sofree",
  "sowrite", // streams.c: one call for both halves of the ring
  "tcp_output", // one acknowledgement a turn
  "tcp_input", // window-scale.c: the guest's SYN
  "ip_output", // and ours; segments.c: many segments at once
  "ip6_output",
  "m_get",
  "if_encap", // edge.c: no copy on the way into the area of frames
  "udp_input", // offload.c: checksums that the NIC left to us
  "udp6_input",
  "ip6_input", // and packets longer than the MTU
  "sodrop", // reading goes on when the guest has acknowledged
  "soisfconnected", // reading begins when the guest has answered
  "tcp_close", // the guest's RST reaches the host
  "tcp_drop",
  "tcp_ctl", // room for the text that it writes
  "fork_exec", // stack.c: JavaScript runs the command
  "get_dns_addr", // the resolver is looked up when it is asked
  "get_dns6_addr",
  "icmp6_input", // link-local.c: the advertised gateway answers
  "emscripten_resize_heap", // memory.c: growing by many pages at once
];

const compileFlags = [
  "-O2", // -O3 unrolls for 12 KB and no measurable speed; -Os makes the checksum loop a third slower
  // Both are in every browser since 2023 (Safari 16.4) and in Node since 16.
  "-mbulk-memory", // memory.copy is the engine's own memmove; a loop in WebAssembly took a third of all processor time
  "-msimd128", // checksums (cksum.c), sixteen bytes at a time instead of two
  "-UNDEBUG", // libslirp's asserts guard against hostile guests: they stay
  "-DBUILDING_LIBSLIRP",
  '-DG_LOG_DOMAIN="Slirp"',
  "-fno-strict-aliasing", // libslirp overlays headers on buffers
  "-Wall",
  "-Wextra",
  "-Werror=implicit-function-declaration",
  `-I${join(here, "glib")}`,
  `-I${upstream}`,
  `-I${objects}`, // the generated libslirp-version.h
  "-include",
  join(here, "debug.h"),
  "-include",
  join(here, "sbuf.h"),
];

/** libslirp's own code gives these; they are not ours to mend. */
const upstreamWarnings = [
  "-Wno-sign-compare",
  "-Wno-unused-parameter",
  "-Wno-unused-variable",
  "-Wno-address-of-packed-member",
];

const linkFlags = [
  "-O2",
  "-sSTANDALONE_WASM=1", // no JavaScript of emscripten's: it wants a page's or a worker's globals, and is a fifth of our own
  "--no-entry", // a library
  "-sERROR_ON_UNDEFINED_SYMBOLS=0", // host.h's functions are imports; the loader fails on any other that is missing
  "-sWARN_ON_UNDEFINED_SYMBOLS=0",
  "-sFILESYSTEM=0", // files come from the host network
  "-sALLOW_MEMORY_GROWTH=1",
  "-sINITIAL_MEMORY=4194304", // what an idle stack touches, rounded up: areas for frames, tables, stack
  "-sMAXIMUM_MEMORY=4294967296",
  "-sTOTAL_STACK=262144", // if_encap alone has a frame of 64 KiB on it
  "-sMALLOC=dlmalloc", // emmalloc is smaller and slower under thousands of rings
  "-sABORTING_MALLOC=0", // glib.c ends the stack with a message instead
];

/** Runs a program; what it prints is the error when it fails. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    // Debian's emcc looks for acorn where Debian's Node has it; another Node must be told.
    const env = { ...process.env, NODE_PATH: process.env.NODE_PATH ?? "/usr/share/nodejs" };
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (chunk) => (text += chunk));
    child.stderr.on("data", (chunk) => (text += chunk));
    child.on("error", (error) =>
      reject(
        error.code === "ENOENT"
          ? new Error(`${command} is not on PATH; apt-get install emscripten installs it`)
          : error,
      ),
    );
    child.on("close", (status) =>
      // emcc ends by repeating the whole command line, which buries the compiler's message.
      status === 0
        ? resolve(text)
        : reject(new Error(text.replace(/^emcc: error: '.*$/m, "").trim())),
    );
  });
}

/** Runs tasks, as many at once as there are processors. */
async function runAll(tasks) {
  const queue = [...tasks];
  const worker = async () => {
    for (let task = queue.shift(); task; task = queue.shift()) await task();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

function flagsFor(file, isUpstream) {
  const flags = [...compileFlags];
  if (isUpstream) flags.push(...upstreamWarnings);
  if (cold.has(file)) flags.push("-Oz");
  if (flowControl.has(file)) flags.push("-DSBUF_FLOW_CONTROL");
  if (file === "state.c") flags.push("-Dsbreserve=sb_restore"); // loads into the ring at once
  return flags;
}

async function writeVersionHeader() {
  const meson = await readFile(join(upstream, "../meson.build"), "utf8");
  const version = /version : '(\d+)\.(\d+)\.(\d+)'/.exec(meson);
  if (!version)
    throw new Error("vendor/libslirp/upstream/meson.build names no version: is it libslirp's?");
  let header = await readFile(join(upstream, "libslirp-version.h.in"), "utf8");
  const values = {
    MAJOR_VERSION: version[1],
    MINOR_VERSION: version[2],
    MICRO_VERSION: version[3],
  };
  for (const [name, value] of Object.entries(values))
    header = header.replaceAll(`@SLIRP_${name}@`, value);
  header = header.replaceAll("@SLIRP_VERSION_STRING@", JSON.stringify(version.slice(1).join(".")));
  await writeFile(join(objects, "libslirp-version.h"), header);
}

/** The types of what the module exports, from the same list as the exports themselves. */
function typesOf(functions) {
  const lines = Object.entries(functions).map(
    ([name, [result, ...parameters]]) => `  ${name}(${parameters.join(", ")}): ${result};`,
  );
  return `// Written by wasm/build.mjs from wasm/exports.json.
/** An address in linear memory. */
export type Pointer = number & { readonly pointer: unique symbol };
/** Address of libslirp's Slirp structure. */
export type SlirpPointer = Pointer & { readonly slirp: unique symbol };

/** What the module exports: the functions of wasm/exports.json. */
export interface SlirpExports {
${lines.join("\n")}
}
`;
}

async function build() {
  await mkdir(objects, { recursive: true });
  await mkdir(out, { recursive: true });
  await writeVersionHeader();

  const isSource = (name) => name.endsWith(".c");
  const theirs = (await readdir(upstream)).filter((name) => isSource(name) && !replaced.has(name));
  const ours = (await readdir(here)).filter(isSource);
  const sources = [
    ...theirs.map((file) => ({ file, path: join(upstream, file), isUpstream: true })),
    ...ours.map((file) => ({ file, path: join(here, file), isUpstream: false })),
    { file: "glib.c", path: join(here, "glib/glib.c"), isUpstream: false },
  ].map((source) => ({
    ...source,
    object: join(objects, `${source.isUpstream ? "libslirp-" : ""}${source.file}.o`),
  }));

  await runAll(
    sources.map(({ file, path, object, isUpstream }) => async () => {
      const warnings = await run("emcc", [...flagsFor(file, isUpstream), "-c", path, "-o", object]);
      if (warnings && !isUpstream) process.stderr.write(warnings);
    }),
  );

  const functions = JSON.parse(await readFile(join(here, "exports.json"), "utf8"));
  const exported = Object.keys(functions).map((name) => `_${name}`);
  await rm(join(out, "slirp.wasm"), { force: true });
  await run("emcc", [
    ...sources.map(({ object }) => object),
    ...linkFlags,
    ...wraps.map((name) => `-Wl,--wrap=${name}`),
    `-sEXPORTED_FUNCTIONS=${JSON.stringify(exported)}`,
    "-o",
    join(out, "slirp.wasm"),
  ]);
  await writeFile(join(out, "slirp-exports.d.ts"), typesOf(functions));
}

await build();
