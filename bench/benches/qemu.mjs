// A QEMU guest's transfers through our stack against those through the libslirp that is built into QEMU.
//
// Processes: QEMU in one, the server in another, our stack (`-netdev stream` to a unix socket) in a third; QEMU's own network
// is in QEMU's process. The CPU is emulated (TCG), so that the figures do not depend on what the machine lends.

import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "../support/child.mjs";
import { loadQemuGuest } from "../support/qemu-guest.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const BYTES = 100 * 1024 * 1024;
/** busybox' nc reads and writes 1 KiB at a time: a segment each, and most of the time is the guest's own. */
const SMALL_WRITES_BYTES = 4 * 1024 * 1024;
const FILE = "/tmp/upload";
/** Letters, for busybox' wget posts a file up to its first zero byte. It takes all of it into memory first. */
const MAKE_FILE = `head -c ${BYTES} /dev/zero | tr '\\0' x >${FILE}`;
const GUEST_MEMORY_MIB = 1024;
/** Of the clock that /proc counts in (USER_HZ). */
const TICKS_PER_SECOND = 100;

export const description = "100 MiB GET and upload by a QEMU guest: our stack against -netdev user";
export const defaultRounds = 7;

export async function missing() {
  return (await loadQemuGuest()).qemuMissing();
}

/** Processor time of a process so far: utime and stime of proc(5). */
function cpuSecondsOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** One transfer, timed by the server (processes/traffic-server.mjs); processor time of QEMU and of the stack's process. */
async function transfer({ guest, stack, server }, command, { method, bytes }) {
  const cpu = async () => [cpuSecondsOf(guest.pid), (await stack?.ask("cpuSeconds")) ?? 0];
  const before = await cpu();
  const [done, { status, errorOutput }] = await Promise.all([
    server.ask("nextTransfer"),
    guest.capture(command),
  ]);
  const after = await cpu();
  if (status !== 0 || done.method !== method || done.bytes !== bytes) {
    const saw = `status ${status}, ${JSON.stringify(done)}, ${Buffer.from(errorOutput)}`;
    throw new Error(`${command}: expected ${method} of ${bytes} bytes, saw ${saw}`);
  }
  return { rate: bytes / 1e6 / done.seconds, cpu: after.map((value, i) => value - before[i]) };
}

const writeSmall = `dd if=/dev/zero bs=64k count=${SMALL_WRITES_BYTES / 65536} 2>/dev/null`;

async function measureGuest(parts, ports) {
  const url = `http://10.0.2.2:${ports.http}`;
  const transfers = {
    GET: [`wget -q -O /dev/null ${url}/${BYTES}`, { method: "GET", bytes: BYTES }],
    upload: [`wget -q -O /dev/null --post-file ${FILE} ${url}/`, { method: "POST", bytes: BYTES }],
    small: [
      `${writeSmall} | nc 10.0.2.2 ${ports.sink} >/dev/null`,
      { method: "sink", bytes: SMALL_WRITES_BYTES },
    ],
  };
  const values = {};
  for (const [what, [command, expected]] of Object.entries(transfers)) {
    const { rate, cpu } = await transfer(parts, command, expected);
    values[`${what} MB/s`] = rate;
    values[`${what} CPU s`] = cpu[0] + cpu[1];
    values[`${what} stack CPU s`] = cpu[1];
  }
  return values;
}

export async function run({ rounds, progress }) {
  const { QemuGuest, virtioNetDevice } = await loadQemuGuest();
  const folder = await mkdtemp(join(tmpdir(), "slirp-wasm-bench-"));
  const path = join(folder, "qemu");
  const server = new Child("traffic-server");
  const stack = new Child("qemu-stack", [path]);
  const guests = [];
  const start = async (netdev) => {
    const guest = await QemuGuest.start({
      memoryMiB: GUEST_MEMORY_MIB,
      netdev: ["-netdev", `${netdev},id=n0`, ...virtioNetDevice("n0")],
    });
    guests.push(guest);
    await guest.configureNetwork();
    await guest.capture(MAKE_FILE);
    return guest;
  };
  try {
    const [ports] = await Promise.all([server.ask("listen"), stack.ask("listening")]);
    progress("booting two guests");
    const ours = {
      server,
      stack,
      guest: await start(`stream,server=off,addr.type=unix,addr.path=${path}`),
    };
    const user = { server, guest: await start("user") };
    const variants = {
      "our stack": () => measureGuest(ours, ports),
      "-netdev user": () => measureGuest(user, ports),
    };
    return { measures: toMeasures(await measureInTurn({ rounds, variants, progress })) };
  } finally {
    await Promise.all([server.stop(), stack.stop(), ...guests.map((guest) => guest.stop())]);
    await rm(folder, { recursive: true, force: true });
  }
}

function toMeasures(series) {
  const ratio = { of: "our stack", to: "-netdev user" };
  const measure = (what, unit, key, target) => ({
    what,
    unit,
    values: Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values[key]])),
    ratios: [target ? { ...ratio, target } : ratio],
  });
  const small = `upload of ${SMALL_WRITES_BYTES >> 20} MiB in writes of 1 KiB`;
  const labels = { GET: "GET of 100 MiB", upload: "upload of 100 MiB", small };
  return Object.entries(labels).flatMap(([key, what]) => [
    measure(what, "MB/s", `${key} MB/s`, key === "small" ? undefined : { atLeast: 0.9 }),
    measure(`${what}, processor time of QEMU and stack`, "s", `${key} CPU s`),
    {
      what: `${what}, processor time of the stack's process`,
      unit: "s",
      values: { "our stack": series["our stack"][`${key} stack CPU s`] },
    },
  ]);
}
