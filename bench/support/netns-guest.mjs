// A network namespace and a program that gives it a network, with slirp4netns's command line: ours or slirp4netns itself.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const CLIENT = fileURLToPath(new URL("../processes/netns-client.mjs", import.meta.url));
/** Of the clock that /proc counts in (USER_HZ). */
const TICKS_PER_SECOND = 100;
const READY_FD = 3;

/** Command lines by name. */
const PROGRAMS = {
  "slirp-wasm": [process.execPath, MAIN, "netns"],
  slirp4netns: ["slirp4netns"],
};

/** A port of 127.0.0.1 that nothing listens at. */
async function findFreePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** See the top of the file. */
export class NetnsGuest {
  #holder;
  #program;
  #folder;

  /** @param {string} program of {@link PROGRAMS} */
  static async start(program, { mtuBytes }) {
    const guest = new NetnsGuest();
    guest.#folder = mkdtempSync(join(tmpdir(), "netns-bench-"));
    guest.#holder = spawn("unshare", ["--net", "sh", "-c", "echo ready && exec cat"]);
    await once(guest.#holder.stdout, "data");
    const options = ["-c", `--mtu=${mtuBytes}`, `-r${READY_FD}`, "-a", guest.#apiPath];
    const [path, ...words] = [...PROGRAMS[program], ...options, `${guest.#holder.pid}`, "tap0"];
    guest.#program = spawn(path, words, { stdio: ["ignore", "ignore", "ignore", "pipe"] });
    const [ready] = await once(guest.#program.stdio[READY_FD], "data");
    if (`${ready}` !== "1") throw new Error(`${program} is not ready: ${ready}`);
    return guest;
  }

  get pid() {
    return this.#program.pid;
  }

  get #apiPath() {
    return join(this.#folder, "api.sock");
  }

  #inside(...words) {
    return ["nsenter", [`--net=/proc/${this.#holder.pid}/ns/net`, "--", ...words]];
  }

  /** What `iperf3` finds out, as a client in the namespace. */
  async iperf(...words) {
    const port = `${await findFreePort()}`;
    const server = ["iperf3", ["--bind", "127.0.0.1", "--port", port]];
    return measure(server, this.#inside("iperf3", "-c", "10.0.2.2", "-p", port, ...words));
  }

  /** The same from the host to a server in the namespace. */
  async iperfInbound(...words) {
    const port = `${await this.#openPort(5201)}`;
    const client = ["iperf3", ["-c", "127.0.0.1", "-p", port, ...words]];
    return measure(this.#inside("iperf3"), client);
  }

  async #openPort(guestPort) {
    const port = await findFreePort();
    const rule = { proto: "tcp", host_addr: "127.0.0.1", host_port: port, guest_port: guestPort };
    const socket = connect({ path: this.#apiPath, allowHalfOpen: true });
    socket.end(JSON.stringify({ execute: "add_hostfwd", arguments: rule }));
    let text = "";
    for await (const chunk of socket) text += chunk;
    if (!text.includes('"id"')) throw new Error(`the port was not opened: ${text}`);
    return port;
  }

  /** Round trips a second (processes/netns-client.mjs). */
  async rate(what, port, ...parameters) {
    const words = [CLIENT, what, "10.0.2.2", port, ...parameters].map(String);
    return Number((await run(...this.#inside(process.execPath, ...words))).stdout);
  }

  /** Processor time of the program so far: utime and stime of proc(5). */
  get cpuSeconds() {
    const stat = readFileSync(`/proc/${this.#program.pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** The most memory that the program has had, MB. */
  get peakMegabytes() {
    const status = readFileSync(`/proc/${this.#program.pid}/status`, "latin1");
    return (Number(/^VmHWM:\s+(\d+)/m.exec(status)[1]) * 1024) / 1e6;
  }

  async stop() {
    for (const child of [this.#program, this.#holder]) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Runs a server for one client, and the client. */
async function measure([serverPath, serverWords], [path, words]) {
  const options = ["--server", "--one-off", "--forceflush"];
  const server = spawn(serverPath, [...serverWords, ...options], { stdio: ["ignore", "pipe", 2] });
  const ended = once(server, "exit");
  try {
    await once(server.stdout, "data");
    server.stdout.resume();
    const { stdout } = await run(path, [...words, "--json"]);
    // One client was all that it was for.
    await ended;
    return readReport(stdout);
  } finally {
    server.kill();
  }
}

function readReport(json) {
  const { end, error } = JSON.parse(json);
  if (error) throw new Error(`iperf3: ${error}`);
  return { bits: end.sum_received.bytes * 8, bitsPerSecond: end.sum_received.bits_per_second };
}
