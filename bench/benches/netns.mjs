// Network namespaces: the kernel's own TCP as guest, through `slirp-wasm netns` and through slirp4netns.
//
// Processes: iperf3 or a client of ours in the namespace, its other side on 127.0.0.1 of the host, the program in between. Every variant
// of every round has a namespace and a program of its own, which is new.

import { spawnSync } from "node:child_process";
import { Child } from "../support/child.mjs";
import { NetnsGuest } from "../support/netns-guest.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const MTUS = [1500, 65_520];
const SECONDS = 4;
const REQUESTS = 2000;
/** Bodies: one that fits into a segment, and one that fills the buffers of a connection. */
const SMALL_BYTES = 100;
const LARGE_BYTES = 256 * 1024;
const ECHOES = 10_000;
/** Of times and counts, with --quick. */
const QUICK = 0.1;
const PEERS = ["slirp4netns", "iperf3"];

export const description = "a network namespace: slirp-wasm netns against slirp4netns";
export const defaultRounds = 5;

const has = (program) => !spawnSync(program, ["--version"]).error;

/** Installs the peers where that is possible. */
export async function missing() {
  if (process.platform !== "linux" || process.getuid() !== 0) return "it takes root on Linux";
  const absent = PEERS.filter((program) => !has(program));
  if (absent.length === 0) return undefined;
  const words = ["install", "--yes", "--no-install-recommends", ...absent];
  spawnSync("apt-get", words, {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  const still = absent.filter((program) => !has(program));
  return still.length === 0 ? undefined : `${still.join(" and ")} cannot be installed by apt-get`;
}

/** One direction, with its cost in the program. */
async function transfer(guest, run) {
  const before = guest.cpuSeconds;
  const { bits, bitsPerSecond } = await run();
  return [bitsPerSecond / 1e6, bits / 1e9 / (guest.cpuSeconds - before)];
}

async function measureProgram(program, mtuBytes, { ports, scale }) {
  const guest = await NetnsGuest.start(program, { mtuBytes });
  const seconds = ["-t", String(Math.max(1, Math.round(SECONDS * scale)))];
  try {
    const upload = await transfer(guest, () => guest.iperf(...seconds));
    const download = await transfer(guest, () => guest.iperf(...seconds, "--reverse"));
    const inbound = await transfer(guest, () => guest.iperfInbound(...seconds));
    const echoCount = Math.ceil(ECHOES * scale);
    const beforeEchoes = guest.cpuSeconds;
    const echoes = await guest.rate("echoes", ports.echo, echoCount);
    const echoCpu = ((guest.cpuSeconds - beforeEchoes) * 1e6) / echoCount;
    const requests = await guest.rate(
      "requests",
      ports.source,
      Math.ceil(REQUESTS * scale),
      SMALL_BYTES,
    );
    await guest.rate("requests", ports.source, Math.ceil(REQUESTS * scale), LARGE_BYTES);
    return {
      ...{ upload: upload[0], download: download[0], inbound: inbound[0] },
      ...{ uploadCpu: upload[1], downloadCpu: download[1], inboundCpu: inbound[1] },
      ...{ echoes, echoCpu, requests, memory: guest.peakMegabytes },
    };
  } finally {
    await guest.stop();
  }
}

export async function run({ rounds, progress, quick = false }) {
  const scale = quick ? QUICK : 1;
  const server = new Child("traffic-server");
  try {
    const setting = { ports: await server.ask("listen"), scale };
    const variants = {};
    for (const mtu of MTUS) {
      for (const program of ["slirp-wasm", "slirp4netns"]) {
        variants[`${program}, MTU ${mtu}`] = () => measureProgram(program, mtu, setting);
      }
    }
    return { measures: toMeasures(await measureInTurn({ rounds, variants, progress })) };
  } finally {
    await server.stop();
  }
}

/** What is measured: unit, and how many times slirp4netns's it is to be at MTU 1500 and at 65520, where there is a target. */
const MEASURES = {
  upload: ["upload", "Mbit/s", 4, 1.3],
  download: ["download", "Mbit/s", 3, 1.5],
  inbound: ["upload by a forwarded port", "Mbit/s", 3, 1.3],
  uploadCpu: ["upload, for a second of the program's processor time", "Gbit", 3, 1],
  downloadCpu: ["download, for a second of the program's processor time", "Gbit", 3, 1],
  inboundCpu: ["forwarded port, for a second of the program's processor time", "Gbit", 3, 1],
  requests: [`requests one behind the other, a connection each (${REQUESTS})`, "1/s", 1, 1],
  echoes: [`round trips of one byte (${ECHOES})`, "1/s", 1, 1],
  echoCpu: ["round trip, processor time of the program", "us"],
};

function toMeasures(series) {
  const pick = (key) =>
    Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values[key]]));
  const ratios = (targets) =>
    MTUS.map((mtu, i) => ({
      of: `slirp-wasm, MTU ${mtu}`,
      to: `slirp4netns, MTU ${mtu}`,
      ...(targets[i] && { target: targets[i] }),
    }));
  return [
    ...Object.entries(MEASURES).map(([key, [what, unit, ...factors]]) => ({
      what,
      unit,
      values: pick(key),
      ratios: ratios(factors.map((atLeast) => ({ atLeast }))),
    })),
    {
      what: `most memory, at the end of all that and ${REQUESTS} requests for 256 KiB`,
      unit: "MB",
      values: pick("memory"),
      ratios: ratios([{ atMost: 0.5 }, { atMost: 0.5 }]),
    },
  ];
}
